"""A bed with an eye shut finds a fault in an honest call, whichever eye it is."""

from types import SimpleNamespace

import pytest

from tests.hostile import call as calls
from tests.hostile import seeing
from tests.hostile.call import Call
from tests.hostile.content import ADA, BOB, STEP_HZ, Seen
from tests.hostile.drivers.python import PythonDriver
from tests.hostile.lie import Lie
from tests.hostile.lies import honest
from tests.hostile.mutations import ROOT
from tests.hostile.passed import Passed
from tests.hostile.server import HostileServer
from tests.hostile.shut import EYES
from tests.hostile.wire import WireJudge

STREAM, HINT, FRAMES = "s-1", 7, 2 * seeing.PLENTY
FIRST_TONE = ADA.base_hz // STEP_HZ


def client(person, passed=(), played=(), heard=()):
    found = SimpleNamespace(person=person, passed=list(passed), told=[], problems=[], uncoded=[])
    found.played = {STREAM: list(played)} if played else {}
    found.heard = {STREAM: list(heard)} if heard else {}

    async def publish():
        return STREAM

    found.publish = publish
    return found


class HonestCall(Call):
    """Ada sends, Bob hears and sees her; what all noted is there at once."""

    def __init__(self):
        super().__init__(HostileServer(), PythonDriver(), Lie())
        ids = {kind: [f"{kind} {number}" for number in range(FRAMES)] for kind in seeing.KINDS}
        frames = [(kind, id_) for kind, some in ids.items() for id_ in some]
        self.judge = WireJudge()
        self.judge.ids = {(HINT, f"{STREAM}/{kind}"): some for kind, some in ids.items()}
        members = [SimpleNamespace(judge=self.judge), SimpleNamespace(judge=WireJudge())]
        self.room.everybody, self.room.owners = members, {STREAM: members[0]}
        self.clients = [
            client(ADA, [Passed(1.0, "send", kind, id_) for kind, id_ in frames]),
            client(
                BOB,
                [Passed(2.0, "receive", kind, id_) for kind, id_ in frames],
                [Seen(3.0, ADA.first + number) for number in range(1, FRAMES)],
                [Seen(3.0, FIRST_TONE) for _ in range(FRAMES)],
            ),
        ]

    async def join(self, who):
        return next(one for one in self.clients if one.person is who)


def shut_tap(call, role):
    for one in call.clients:
        one.passed = [noted for noted in one.passed if noted.role != role]


def close_eyes(call, attribute):
    seen = getattr(call.bob, attribute)
    seen[STREAM] = [Seen(one.at_s, None) for one in seen[STREAM]]


SHUT = {
    "the judge of the wire": lambda call: call.judge.ids.clear(),
    "the tap of what is sent": lambda call: shut_tap(call, "send"),
    "the tap of what is received": lambda call: shut_tap(call, "receive"),
    "who looks": lambda call: close_eyes(call, "played"),
    "who listens": lambda call: close_eyes(call, "heard"),
}
IN_EVERY_ROW = {
    "the judge of the wire": "was played that the judge of the wire did not see",
    "the tap of what is sent": "left that the tap did not see",
    "the tap of what is received": "was played that did not pass the tap",
}
"""Who looks and who listens are asked by `Call.live`, with which rows begin."""


async def at_once(condition, what, _seconds=0.0):
    if not condition():
        raise AssertionError(what)


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    for module in (calls, honest):
        monkeypatch.setattr(module, "until", at_once)


async def test_with_all_eyes_open_an_honest_call_has_no_fault():
    call = HonestCall()
    await honest.look(call)
    assert call.faults() == []


@pytest.mark.parametrize("eye", SHUT)
async def test_the_honest_row_is_red_when_an_eye_is_shut(eye):
    call = HonestCall()
    SHUT[eye](call)
    with pytest.raises(AssertionError, match=r"saw too little|the honest call"):
        await honest.look(call)


@pytest.mark.parametrize("eye", IN_EVERY_ROW)
@pytest.mark.parametrize("kind", seeing.KINDS)
def test_every_row_is_red_when_one_saw_nothing_of_what_others_saw(eye, kind):
    call = HonestCall()
    SHUT[eye](call)
    assert f"{kind} {IN_EVERY_ROW[eye]}" in call.faults()


@pytest.mark.parametrize("eye", EYES, ids=lambda eye: eye.name)
def test_each_eye_is_where_it_is_said_to_be(eye):
    assert (ROOT / eye.file).read_text().count(eye.old) == 1


def test_the_same_eyes_are_shut_in_live_calls():
    assert {eye.name.partition(": ")[2] for eye in EYES} - {"the tap"} == SHUT.keys()
