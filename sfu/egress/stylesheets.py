"""Asks what stylesheets say, each in a process of its own; some at a time.

What has loaded the engine takes some 100 MB: it begins with the first stylesheet, and ends when
there was none for a while.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from sfu.egress.child_link import ChildLink, spawn_with
from sfu.egress.composition import Placed
from sfu.egress.control import LineError
from sfu.egress.forks import ForkError, Zygote, program_of
from sfu.egress.style_lines import (
    BoxesLine,
    Fault,
    FaultLine,
    StyleLine,
    StyleUp,
    StyleUpReader,
    check_answer,
)

log = logging.getLogger(__name__)

ZYGOTE_MODULE = "sfu.egress.styling.zygote"
AT_ONCE = 2
ANSWER_S = 10.0
"""Its processor time is bounded by itself (2 s); a busy machine gives it that more slowly."""
IDLE_S = 60.0


class StylesheetError(Exception):
    """A stylesheet that cannot be used. `at`: its line; None if all of it takes too much."""

    def __init__(self, fault: Fault | None, at: int | None) -> None:
        super().__init__("it takes too much" if fault is None else f"line {at}: {fault}")
        self.fault = fault
        self.at = at


class StylesheetsBusyError(Exception):
    """There was no answer in time, or no process."""


class Stylesheets:
    """Used on the event loop only."""

    def __init__(
        self,
        *,
        program: Sequence[str] | None = None,
        answer_s: float = ANSWER_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._zygote = Zygote(program or program_of(ZYGOTE_MODULE))
        self._answer_s = answer_s
        self._idle_s = idle_s
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._running = 0
        self._idle: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._totals: Counter[str] = Counter()

    @property
    def zygote_pid(self) -> int | None:
        return self._zygote.pid

    def counters(self) -> Mapping[str, int]:
        """Totals since the start: asked, faults, too_much, busy, lies."""
        return dict(self._totals)

    async def place(self, wanted: StyleLine) -> tuple[Placed, ...]:
        """Where the stylesheet puts the streams. Errors: `StylesheetError`,
        `StylesheetsBusyError`."""
        self._running += 1
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        try:
            async with self._turns:
                if self._closing is not None:
                    await asyncio.wait({self._closing})
                self._totals["asked"] += 1
                return self._boxes(await self._answer(wanted))
        finally:
            self._running -= 1
            if not self._running:
                self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._rest)

    async def close(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._closing is not None:
            await asyncio.wait({self._closing})
        await self._zygote.close()

    def _boxes(self, answer: StyleUp | None) -> tuple[Placed, ...]:
        if isinstance(answer, BoxesLine):
            return answer.placed
        if isinstance(answer, FaultLine):
            self._totals["faults"] += 1
            raise StylesheetError(answer.fault, answer.at)
        self._totals["too_much"] += 1
        raise StylesheetError(None, None)

    async def _answer(self, wanted: StyleLine) -> StyleUp | None:
        """None: the process ended without one, as one does that takes too much."""
        try:
            link = await spawn_with(self._zygote, [], StyleUpReader())
        except ForkError as failure:
            self._totals["busy"] += 1
            raise StylesheetsBusyError("there is no process") from failure
        try:
            link.send(wanted)
            async with asyncio.timeout(self._answer_s):
                return await self._line(link, wanted)
        except TimeoutError as late:
            self._totals["busy"] += 1
            raise StylesheetsBusyError("there is no answer") from late
        finally:
            await link.close(kill=True)

    async def _line(self, link: ChildLink[StyleUp], wanted: StyleLine) -> StyleUp | None:
        async for line in link.lines(self._answer_s * 2):
            try:
                check_answer(line, wanted)
            except LineError as lie:
                self._totals["lies"] += 1
                log.warning("what reads a stylesheet is not what it was: %s", lie)
                return None
            return line
        return None

    def _rest(self) -> None:
        self._idle = None
        self._closing = task = asyncio.get_running_loop().create_task(self._zygote.close())
        task.add_done_callback(self._rested)

    def _rested(self, _: "asyncio.Task[None]") -> None:
        self._closing = None
