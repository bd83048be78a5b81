"""Runs renders: a process for each, which runs the browsers.

The server gives the process addresses, a token and a page, and reads control lines. It neither
speaks with the browser nor carries what pages load.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config.render_settings import RenderSettings
from sfu.egress.child_link import SILENCE_S, spawn_with
from sfu.egress.control import LineError
from sfu.egress.forks import ForkError, Zygote
from sfu.egress.render_attempts import Attempts
from sfu.egress.render_jobs import RenderEnd, RenderJob, RenderListener
from sfu.egress.render_lines import (
    BeatLine,
    CrashedLine,
    EndLine,
    PublishedLine,
    RenderLine,
    RenderUp,
    RenderUpReader,
)
from sfu.egress.render_reports import RenderReports
from sfu.egress.runs import RunProcess, Runs

log = logging.getLogger(__name__)

ZYGOTE_MODULE = "sfu.egress.render.zygote"
GOODBYE_S = 2.0
"""For the end of a browser; then it is killed with its process."""
NO_ROOM = "This server has no room for another render."


@dataclass(frozen=True, slots=True)
class Browsers:
    """What renders run: paths, and where pages may be beside public addresses."""

    chromium: str
    bwrap: str
    allowed_networks: str = ""


class Renders:
    """Implements `RenderEgress`."""

    def __init__(
        self,
        settings: RenderSettings,
        browsers: Browsers,
        *,
        program: Sequence[str],
        silence_s: float = SILENCE_S,
    ) -> None:
        zygote = Zygote(program)
        self._runs: Runs[Run] = Runs(zygote, settings.max, NO_ROOM)
        self._tools = _Tools(zygote, settings, browsers, self._runs.totals, silence_s)

    def start(self, job: RenderJob, listener: RenderListener) -> "Run":
        return self._runs.start(lambda: Run(job, listener, self._tools))

    def counters(self) -> Mapping[str, int]:
        """Totals since the start: starts, crashes, lies, and what processes counted."""
        return dict(self._runs.totals)

    async def close(self) -> None:
        await self._runs.close()


@dataclass(frozen=True, slots=True)
class _Tools:
    zygote: Zygote
    settings: RenderSettings
    browsers: Browsers
    totals: Counter[str]
    silence_s: float


class Run:
    """One render. Implements `RenderRun`."""

    def __init__(self, job: RenderJob, listener: RenderListener, tools: _Tools) -> None:
        self._job = job
        self._listener = listener
        self._tools = tools
        self._process: RunProcess[RenderUp] = RunProcess(tools.totals, GOODBYE_S)
        self.task = asyncio.get_running_loop().create_task(self._run())

    def leave(self) -> None:
        self._process.leave(self.task)

    async def _run(self) -> None:
        end: RenderEnd | None = None
        attempts, loop = Attempts(), asyncio.get_running_loop()
        try:
            while end is None and not self._process.left:
                end = await self._one_process(attempts)
                if end is None and not self._process.left:
                    end = self._after_death(attempts.crashed(loop.time()))
        except asyncio.CancelledError:
            if not self._process.left:
                raise
        if not self._process.left:
            self._process.left = True
            self._listener.on_over(end or RenderEnd("process"))

    def _after_death(self, may_go_on: bool) -> RenderEnd | None:
        if not may_go_on:
            return RenderEnd("process")
        self._handle(CrashedLine())
        return None

    async def _one_process(self, attempts: Attempts) -> RenderEnd | None:
        """How the render ended; None: the process died or hung, and its browser with it."""
        reports, loop = RenderReports(), asyncio.get_running_loop()
        try:
            link = await spawn_with(self._tools.zygote, [], RenderUpReader())
            self._process.begin(link)
            link.send(self._line())
            async for line in link.lines(self._tools.silence_s):
                reports.check(line)
                if isinstance(line, EndLine):
                    return RenderEnd(line.how, line.text)
                if isinstance(line, PublishedLine):
                    attempts.published(loop.time())
                self._handle(line)
        except LineError as lie:
            self._tools.totals["lies"] += 1
            log.warning("the process of a render is not what it was: %s", lie)
            return RenderEnd("process")
        except ForkError:
            log.warning("a render has no process")
            return RenderEnd("process")
        finally:
            await self._process.end()
        return None

    def _line(self) -> RenderLine:
        job, browsers, settings = self._job, self._tools.browsers, self._tools.settings
        return RenderLine(
            chromium=browsers.chromium,
            bwrap=browsers.bwrap,
            url=job.url,
            api_key=job.api_key,
            session=job.session,
            token=job.token,
            name=job.name,
            width=job.width,
            height=job.height,
            load_s=settings.load_s,
            hang_s=settings.hang_s,
            memory_mb=settings.memory_mb,
            spare=settings.spare,
            allowed_networks=browsers.allowed_networks,
            http=job.node.http,
            secure=job.node.secure,
            media=list(job.node.media.items()),
        )

    def _handle(self, line: RenderUp) -> None:
        if isinstance(line, BeatLine):
            self._process.count(line.counts.items())
        if isinstance(line, CrashedLine):
            self._tools.totals["crashes"] += 1
        if self._process.left:
            return
        match line:
            case PublishedLine(connection=connection, stream=stream):
                self._listener.on_published(connection, stream)
            case CrashedLine():
                self._listener.on_crashed()
            case BeatLine():
                self._listener.on_beat()
            case _:
                pass
