"""Lies in connectivity checks: a path that comes about late, never, or for a while."""

import asyncio
import time

from tests.hostile.call import Call, until
from tests.hostile.content import ADA, BOB
from tests.hostile.lie import Lie
from tests.hostile.lies.acts import pause
from tests.hostile.lies.answers import HANDSHAKE_S, join_and_try
from tests.hostile.lies.row import BROWSERS, Must, Row
from tests.hostile.member import Member

LATE_S = 3.0
CONSENT_S = 34.0
"""RFC 7675: a client stops sending 30 s after the last answer, or sooner."""
QUIET_S = 1.5


class Unanswered(Lie):
    """Leaves the checks of these transports unanswered while `is_on`."""

    def __init__(self, *directions: str, is_on: bool = True) -> None:
        self._directions, self.is_on = directions, is_on

    def answers_checks(self, member: Member, direction: str) -> bool:
        return not self.is_on or direction not in self._directions


class LateAnswers(Lie):
    """Answers the checks of each transport some seconds after the first of them."""

    def __init__(self) -> None:
        self._first_s: dict[tuple[Member, str], float] = {}

    def answers_checks(self, member: Member, direction: str) -> bool:
        now_s = time.monotonic()
        return now_s - self._first_s.setdefault((member, direction), now_s) > LATE_S


async def join_late(call: Call) -> None:
    """Media waits for its path, and loses nothing of what must hold."""
    await call.join(ADA)
    await call.join(BOB)
    call.mark()
    call.stream_id = await call.ada.publish() or ""
    await until(lambda: call.sees(call.bob, call.stream_id, 4), "the late call", 4 * LATE_S)


def _packets(member: Member) -> int:
    return sum(len(track.kept) for stream in _streams(member) for track in stream.tracks.values())


def _streams(member: Member) -> list:
    return [one for one in member.room.streams.values() if one.owner is member]


async def withdraw_consent(call: Call) -> None:
    """Checks are answered no more; what the server sends goes on. Nothing may be sent to it for
    longer than its last answer counts."""
    await call.live()
    call.room.lie.is_on = True
    ada, count = call.member(call.ada), -1

    async def has_stopped() -> bool:
        nonlocal count
        before, count = count, _packets(ada)
        return before == count

    deadline_s = time.monotonic() + CONSENT_S
    while not await has_stopped():
        if time.monotonic() > deadline_s:
            raise AssertionError("media is sent to who does not answer")
        await asyncio.sleep(QUIET_S)
    await pause(call)


ICE = ("ice",)
ROWS = (
    Row("ice-late", "answers checks late", ICE, Must.GO_ON, join_late, LateAnswers),
    *(
        Row(name, does, ICE, Must.STOP, join_and_try, lie, patience_s=HANDSHAKE_S)
        for name, does, lie in (
            (
                "ice-never",
                "never answers the checks of an uplink",
                lambda: Unanswered("uplink"),
            ),
            (
                "ice-never-down",
                "never answers the checks of a downlink",
                lambda: Unanswered("downlink"),
            ),
        )
    ),
    Row(
        "ice-consent",
        "answers checks no more, in a call",
        ICE,
        Must.STOP,
        withdraw_consent,
        lambda: Unanswered("uplink", "downlink", is_on=False),
        only=BROWSERS,
        # Media stops before the browser says so of its transport, and the SDK lets ten seconds pass
        # before it troubles anybody with an interruption.
        patience_s=HANDSHAKE_S,
    ),
)
