"""Between the signal to stop and the end of a server: calls go on, new clients are refused.

The order of an operator who takes a node away: it is not ready any more, so balancers send new
clients elsewhere; clients in a call stay until the call ends or the time is up.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from signaling.clock import Clock

LOOK_S = 0.5
"""Between two looks at the number of clients: short against the end of a call."""
Hurried = Callable[[float], Awaitable[bool]]
"""Waits for so many seconds; True at once if the server is to end now."""


class DrainEnd(StrEnum):
    EMPTY = "no client is left"
    DEADLINE = "the time is up"
    HURRIED = "a second signal"


@dataclass(frozen=True, slots=True)
class Drain:
    """`refuse_joins` is called once, first; `connections` counts clients, also those that lost
    their WebSocket and may resume."""

    refuse_joins: Callable[[], None]
    connections: Callable[[], int]
    clock: Clock

    async def run(self, within_s: float, hurried: Hurried) -> DrainEnd:
        """Ends with the last client, after `within_s`, or when it is hurried."""
        self.refuse_joins()
        until_s = self.clock.monotonic_s() + within_s
        while self.connections():
            left_s = until_s - self.clock.monotonic_s()
            if left_s <= 0:
                return DrainEnd.DEADLINE
            if await hurried(min(LOOK_S, left_s)):
                return DrainEnd.HURRIED
        return DrainEnd.EMPTY


class StopSignals:
    """The first signal ends the taking of clients, the second one their time to leave."""

    def __init__(self) -> None:
        self.first, self._second = asyncio.Event(), asyncio.Event()

    def note(self) -> None:
        (self._second if self.first.is_set() else self.first).set()

    async def second_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._second.wait()
        return False
