"""A player that asks for a playlist that is not there yet waits for it, within bounds."""

import pytest

from sfu.egress.blocking_reload import Answer, Wanted, answer, position_of, wanted_of
from sfu.egress.child.playlist import Playlist, PlaylistRules
from tests.unit.egress.test_playlist import LOW, grown


def position(segments, parts=0, rules=LOW, ended=False):
    playlist, _ = grown(rules, segments)
    for number in range(parts):
        playlist.add(500_000, 1, independent=number == 0, ends_segment=False)
    if ended:
        playlist.end()
    return position_of(playlist.render())


def test_the_position_is_the_segment_that_is_being_filled():
    found = position(9, parts=2)
    assert (found.segment, found.parts, found.parts_before, found.target_s) == (9, 2, 4, 2)
    assert position_of(Playlist(PlaylistRules(2)).render()).segment == 0


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, Answer.NOW),
        (Wanted(0), Answer.NOW),
        (Wanted(8), Answer.NOW),
        (Wanted(9, 0), Answer.NOW),
        (Wanted(9, 1), Answer.NOW),
        (Wanted(9, 2), Answer.WAIT),
        (Wanted(9), Answer.WAIT),
        (Wanted(9, 7), Answer.WAIT),
        (Wanted(9, 8), Answer.REFUSE),  # too many parts ahead
        (Wanted(10, 0), Answer.WAIT),
        (Wanted(10), Answer.WAIT),
        (Wanted(11, 0), Answer.REFUSE),  # more than two segments behind the last one
        (Wanted(10**11), Answer.REFUSE),
    ],
)
def test_what_is_there_is_answered_and_what_is_near_is_waited_for(wanted, expected):
    assert answer(position(9, parts=2), wanted) is expected


def test_a_part_behind_the_last_one_of_its_segment_is_the_first_of_the_next():
    assert answer(position(9), Wanted(8, 4)) is Answer.WAIT
    assert answer(position(9, parts=1), Wanted(8, 4)) is Answer.NOW
    assert answer(position(9), Wanted(8, 3)) is Answer.NOW


def test_nobody_waits_for_what_has_ended_or_for_a_server_that_does_not_block():
    assert answer(position(9, ended=True), Wanted(9)) is Answer.NOW
    assert answer(position(9, rules=PlaylistRules(2)), Wanted(9)) is Answer.NOW


@pytest.mark.parametrize(
    "query",
    [
        {"_HLS_part": "1"},
        {"_HLS_msn": "-1"},
        {"_HLS_msn": "x"},
        {"_HLS_msn": "1" * 13},
        {"_HLS_msn": "1", "_HLS_part": ""},
        {"_HLS_msn": "\uff11"},
    ],
)
def test_what_makes_no_sense_is_refused(query):
    with pytest.raises(ValueError):
        wanted_of(query)


def test_other_parameters_are_left_alone():
    assert wanted_of({"token": "x"}) is None
    assert wanted_of({"_HLS_msn": "3", "_HLS_part": "1", "x": "y"}) == Wanted(3, 1)
