"""Runs that have a process each: how many there may be, and the process that one has now."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from sfu.egress.child_link import ChildLink
from sfu.egress.control import Line
from sfu.egress.forks import Zygote
from sfu.egress.jobs import EgressError, PacketForm
from sfu.egress.run_lines import LeaveLine, SpeakLine


class EndingRun(Protocol):
    """`task` ends soon after `leave`."""

    @property
    def task(self) -> asyncio.Task[None]: ...
    def leave(self) -> None: ...


Run = TypeVar("Run", bound=EndingRun)


class Runs(Generic[Run]):
    """Those of one kind, of one zygote. `no_room`: the text of a refusal."""

    def __init__(self, zygote: Zygote, most: int, no_room: str) -> None:
        self.totals: Counter[str] = Counter()
        self._zygote = zygote
        self._most = most
        self._no_room = no_room
        self._runs: dict[Run, None] = {}
        self._closed = False

    def start(self, make: Callable[[], Run]) -> Run:
        """Errors: `EgressError` no_capacity."""
        if self._closed or len(self._runs) >= self._most:
            raise EgressError("no_capacity", self._no_room)
        self.totals["starts"] += 1
        run = make()
        self._runs[run] = None
        run.task.add_done_callback(lambda _: self._runs.pop(run, None))
        return run

    async def close(self) -> None:
        self._closed = True
        tasks = [run.task for run in self._runs]
        for run in list(self._runs):
            run.leave()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._zygote.close()


class RunProcess(Generic[Line]):
    """The process of one run: none while it starts or starts again. `goodbye_s`: how long it may
    take to say goodbye to the other end."""

    def __init__(self, totals: Counter[str], goodbye_s: float) -> None:
        self.left = False
        """Nothing is reported of the run any more."""
        self._totals = totals
        self._goodbye_s = goodbye_s
        self._link: ChildLink[Line] | None = None
        self._counted: dict[str, int] = {}

    def begin(self, link: ChildLink[Line]) -> None:
        self._link, self._counted = link, {}

    def send(self, line: Struct) -> bool:
        """Whether there is a process to hear it."""
        if self._link is None:
            return False
        self._link.send(line)
        return True

    def count(self, counts: Iterable[tuple[str, int]]) -> None:
        """A process counts from its beginning."""
        now = dict(counts)
        for name, count in now.items():
            self._totals[name] += max(0, count - self._counted.get(name, 0))
        self._counted = now

    def leave(self, task: asyncio.Task[None]) -> None:
        """Ends the run's task: after the goodbye, and at once where there is no process."""
        if self.left:
            return
        self.left = True
        wait_s = self._goodbye_s if self.send(LeaveLine()) else 0
        asyncio.get_running_loop().call_later(wait_s, task.cancel)

    async def end(self) -> None:
        """Kills what is left of the process."""
        link, self._link = self._link, None
        if link is not None:
            await link.close(kill=True)


def speak_line(form: PacketForm) -> SpeakLine:
    return SpeakLine(form.ssrc, form.payload_type, form.audio_level_id)
