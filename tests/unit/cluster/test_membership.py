"""When a node is judged: on virtual time, by readings of one node."""

import pytest

from signaling.cluster.engine import NodeRow, View
from signaling.cluster.membership import Audit, Came, Certify, Died, Gone, Membership, SendBeat

ME, X, Y = 1, 2, 3


def view(mine: int, *others: NodeRow, timeline: int = 1) -> View:
    return View(timeline, 0, (NodeRow("me", ME, beat=mine), *others))


def x(beat: int) -> NodeRow:
    return NodeRow("x", X, beat=beat)


def y(beat: int, *hears: int) -> NodeRow:
    return NodeRow("y", Y, beat=beat, hears=frozenset(hears))


class Reader:
    """A node that reads at these times; every reading is answered at once."""

    def __init__(self) -> None:
        self.member = Membership(ME, 0.0)
        self.beats = 0

    def read(self, at: float, *others: NodeRow, timeline: int = 1):
        assert isinstance(self.member.poll(at)[0], SendBeat)
        self.beats += 1
        return self.member.handle_view(view(self.beats, *others, timeline=timeline), at)


def certified(effects) -> list[int]:
    return [effect.incarnation for effect in effects if isinstance(effect, Certify)]


@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_a_silent_node_is_judged_after_three_and_a_half_seconds(offset):
    reader = Reader()
    reader.member = Membership(ME, offset)
    judged = [certified(reader.read(offset + t, x(7))) for t in (0, 1, 2, 3)]
    assert judged == [[], [], [], []]
    assert reader.member.next_beat == pytest.approx(offset + 3.501)
    assert certified(reader.read(offset + 3.51, x(7))) == [X]


def test_a_node_whose_port_refuses_is_judged_after_one_and_a_half():
    reader = Reader()
    reader.read(0, x(7))
    reader.member.handle_lost(X, 0.1, refused=True)
    reader.read(1, x(7))
    assert certified(reader.read(1.51, x(7))) == [X]


def test_a_beat_begins_the_count_anew():
    reader = Reader()
    for at, beat in ((0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 2), (6, 2)):
        assert certified(reader.read(at, x(beat))) == []


def test_readings_too_far_apart_say_nothing_of_the_time_between():
    reader = Reader()
    reader.read(0, x(7))
    assert certified(reader.read(30, x(7))) == []
    assert certified(reader.read(31, x(7))) == []


def test_who_hears_a_node_does_not_judge_it():
    reader = Reader()
    reader.member.handle_heard(X)
    for at in range(9):
        assert certified(reader.read(at, x(7))) == []
    reader.member.handle_lost(X, 8.1, refused=False)
    assert reader.member.next_beat == 8.1, "others should know at once"
    assert certified(reader.read(8.1, x(7))) == [X]


def test_a_fresh_witness_speaks_for_a_node_and_a_stale_one_does_not():
    reader = Reader()
    for at in range(6):
        assert certified(reader.read(at, x(7), y(at, X))) == []
    assert certified(reader.read(6, x(7), y(5, X))) == []
    assert certified(reader.read(7, x(7), y(5, X))) == [X]


def test_a_certificate_ends_the_node_at_once():
    reader = Reader()
    assert reader.read(0, x(7)) == [Came(x(7))]
    assert reader.member.handle_certified(X, is_dead=False) == []
    assert reader.member.handle_certified(X, is_dead=True) == [Gone(X)]
    assert reader.member.handle_certified(X, is_dead=True) == []
    assert reader.member.node(X) is None


def test_a_row_that_is_no_longer_there_ends_the_node():
    reader = Reader()
    reader.read(0, x(7))
    assert reader.read(1) == [Gone(X)]


def test_without_its_own_row_a_node_is_dead_and_asks_no_more():
    member = Membership(ME, 0.0)
    member.poll(0.0)
    assert member.handle_view(View(1, 0, (x(1),)), 0.0) == [Died()]
    assert member.next_beat is None
    assert member.poll(9.0) == []


def test_another_timeline_is_audited_once():
    reader = Reader()
    assert Audit() not in reader.read(0)
    assert Audit() in reader.read(1, timeline=2)
    assert Audit() not in reader.read(2, timeline=2)


def test_a_node_is_unsure_while_its_beats_are_not_acknowledged():
    reader = Reader()
    reader.read(0.0)
    assert not reader.member.is_unsure(1.4)
    reader.member.poll(1.0)
    reader.member.handle_failure(1.4)
    assert reader.member.is_unsure(1.6)
    assert reader.member.next_beat == 1.65
    reader.read(1.7)
    assert not reader.member.is_unsure(1.8)
