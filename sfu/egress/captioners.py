"""Runs captions: a process for each captioned session, and another one when it dies."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config.caption_settings import CaptionSettings
from sfu.egress.caption_jobs import LANGUAGES, CaptionJob, CaptionListener
from sfu.egress.caption_lines import (
    CaptionBeatLine,
    CaptionJobLine,
    CaptionLine,
    CaptionUp,
    CaptionUpReader,
    ListeningLine,
)
from sfu.egress.caption_reports import CaptionReports
from sfu.egress.child_link import SILENCE_S, spawn_with
from sfu.egress.control import LineError
from sfu.egress.deaths import Deaths
from sfu.egress.forks import ForkError, Zygote, program_of
from sfu.egress.runs import RunProcess, Runs

log = logging.getLogger(__name__)

ZYGOTE_MODULE = "sfu.egress.captions.zygote"
RESTART_S = 0.2
CLOSE_S = 0.2
HOLD_MS = 80
"""How long packets wait for those that came in another order."""
NO_ROOM = "This server has no room for captions of another session."


def zygote_program(settings: CaptionSettings) -> tuple[str, ...]:
    """It loads as many recognizers as a process may use, and shares them with all."""
    return (*program_of(ZYGOTE_MODULE), str(settings.engines))


class Captioners:
    """Implements `CaptionEgress`."""

    def __init__(
        self,
        settings: CaptionSettings,
        *,
        program: Sequence[str],
        silence_s: float = SILENCE_S,
        languages: Sequence[str] = LANGUAGES,
    ) -> None:
        self.languages = languages
        zygote = Zygote(program)
        self._runs: Runs[Run] = Runs(zygote, settings.sessions_max, NO_ROOM)
        self._tools = _Tools(zygote, self._runs.totals, silence_s)

    def start(self, job: CaptionJob, media: socket.socket, listener: CaptionListener) -> "Run":
        return self._runs.start(lambda: Run(job, media, listener, self._tools))

    async def load(self) -> None:
        try:
            await self._tools.zygote.load()
        except ForkError:
            log.warning("the recognizers of captions are not loaded")

    def counters(self) -> Mapping[str, int]:
        """Totals since the start: starts, restarts, lies, captions, and what processes counted."""
        return dict(self._runs.totals)

    async def close(self) -> None:
        await self._runs.close()


@dataclass(frozen=True, slots=True)
class _Tools:
    zygote: Zygote
    totals: Counter[str]
    silence_s: float


class Run:
    """The captions of one session, over its processes. Implements `CaptionRun`."""

    def __init__(
        self, job: CaptionJob, media: socket.socket, listener: CaptionListener, tools: _Tools
    ) -> None:
        self._job = job
        self._media = media
        self._listener = listener
        self._tools = tools
        self._process: RunProcess[CaptionUp] = RunProcess(tools.totals, CLOSE_S)
        self._has_listened = False
        self.task = asyncio.get_running_loop().create_task(self._run())

    def leave(self) -> None:
        self._process.leave(self.task)

    async def _run(self) -> None:
        deaths, loop = Deaths(), asyncio.get_running_loop()
        try:
            await self._one_process()
            while not self._process.left and deaths.add(loop.time()):
                await asyncio.sleep(RESTART_S)
                self._tools.totals["restarts"] += 1
                await self._one_process()
        except asyncio.CancelledError:
            if not self._process.left:
                raise
        if not self._process.left:
            self._process.left = True
            self._listener.on_over()

    async def _one_process(self) -> None:
        """Until it ends."""
        reports = CaptionReports(partials=self._job.partials)
        try:
            link = await spawn_with(self._tools.zygote, [self._media], CaptionUpReader())
            self._process.begin(link)
            link.send(CaptionJobLine(self._job.language, self._job.partials, HOLD_MS))
            async for line in link.lines(self._tools.silence_s):
                reports.check(line)
                self._handle(line)
        except LineError as lie:
            self._tools.totals["lies"] += 1
            log.warning("a process that captions is not what it was: %s", lie)
        except ForkError:
            log.warning("captions have no process")
        finally:
            await self._process.end()

    def _handle(self, line: CaptionUp) -> None:
        if self._process.left:
            return
        match line:
            case ListeningLine():
                if self._has_listened:
                    self._listener.on_another_process()
                self._has_listened = True
            case CaptionLine(stream, text, is_final):
                self._tools.totals["captions"] += 1
                self._listener.on_caption(stream, text, is_final=is_final)
            case CaptionBeatLine(counts=counts):
                self._process.count(counts.items())
