"""Runs renders: a process for each, which runs the browsers.

The server gives the process addresses, a token and a page, and reads control lines. It neither
speaks with the browser nor carries what pages load.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
    ShowingLine,
    ShowLine,
)
from sfu.egress.render_reports import RenderReports
from sfu.egress.runs import RunProcess, Runs

log = logging.getLogger(__name__)

ZYGOTE_MODULE = "sfu.egress.render.zygote"
GOODBYE_S = 2.0
"""For the end of a browser; then it is killed with its process."""
SPARE_AFTER_S = 5.0
"""From a publication to the start of the browser that waits."""
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
        spare_after_s: float = SPARE_AFTER_S,
    ) -> None:
        zygote = Zygote(program)
        self._runs: Runs[Run] = Runs(zygote, settings.max, NO_ROOM)
        totals = self._runs.totals
        self._tools = _Tools(zygote, settings, browsers, totals, silence_s, spare_after_s)

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
    spare_after_s: float


class _Browsing:
    """One process of a render: it shows the page, or has a browser that waits until it is told
    to. `over`: how it ended; None: it died or hung, and its browser with it. `is_shown`: its end
    is an end of what it shows."""

    def __init__(
        self, line: RenderLine, tools: _Tools, on_line: Callable[["_Browsing", RenderUp], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.over: asyncio.Future[RenderEnd | None] = loop.create_future()
        self.is_shown = not line.waits
        self.process: RunProcess[RenderUp] = RunProcess(tools.totals, GOODBYE_S)
        self._line = line
        self._tools = tools
        self._on_line = on_line
        self._reports = RenderReports(waits=line.waits)
        self.task = loop.create_task(self._run())

    def show(self) -> None:
        """Tells one that waits, also one that has not started yet."""
        self._reports.shown = True
        self.process.send(ShowLine())

    async def _run(self) -> None:
        end: RenderEnd | None = None
        try:
            link = await spawn_with(self._tools.zygote, [], RenderUpReader())
            self.process.begin(link)
            link.send(self._line)
            if self._reports.shown:
                link.send(ShowLine())
            async for line in link.lines(self._tools.silence_s):
                self._reports.check(line)
                if isinstance(line, EndLine):
                    end = RenderEnd(line.how, line.text)
                    break
                self.is_shown |= isinstance(line, ShowingLine)
                self._on_line(self, line)
        except LineError as lie:
            self._tools.totals["lies"] += 1
            log.warning("the process of a render is not what it was: %s", lie)
            end = RenderEnd("process")
        except ForkError:
            log.warning("a render has no process")
            end = RenderEnd("process")
        finally:
            if not self.over.done():
                self.over.set_result(end)
            await self.process.end()


class Run:
    """One render. Implements `RenderRun`. Most of the time from a crash to a stream is the start of
    a browser; so another process has one that waits, and is there whatever it is that ends."""

    def __init__(self, job: RenderJob, listener: RenderListener, tools: _Tools) -> None:
        self._job = job
        self._listener = listener
        self._tools = tools
        self._left = False
        self._attempts = Attempts()
        self._standby: _Browsing | None = None
        self._preparing: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._current = self._begin(waits=False)
        self.task = asyncio.get_running_loop().create_task(self._run())

    def leave(self) -> None:
        if not self._left:
            self._left = True
            self._end_standby()
            self._current.process.leave(self.task)

    async def _run(self) -> None:
        end: RenderEnd | None = None
        try:
            end = await self._until_over()
        except asyncio.CancelledError:
            if not self._left:
                raise
        finally:
            self._end_standby()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self._left:
            self._left = True
            self._listener.on_over(end or RenderEnd("process"))

    async def _until_over(self) -> RenderEnd | None:
        loop = asyncio.get_running_loop()
        while True:
            end = await self._current.over
            if self._left or (end is not None and end.how != "crashed"):
                return end
            # One that ended together with what it was to replace is no crash of the page's.
            if self._current.is_shown and not self._attempts.crashed(loop.time()):
                return end
            self._handle(CrashedLine())
            self._take_over()

    def _begin(self, *, waits: bool) -> _Browsing:
        one = _Browsing(self._line(waits=waits), self._tools, self._on_line)
        self._tasks.add(one.task)
        one.task.add_done_callback(self._tasks.discard)
        return one

    def _take_over(self) -> None:
        standby, self._standby = self._standby, None
        if standby is None or standby.over.done():
            self._current = self._begin(waits=False)
        else:
            self._current = standby
            standby.show()
        self._end_standby()

    def _prepare(self) -> None:
        """Later: the render's own browser comes first, and is busiest at its beginning."""
        if self._tools.settings.spare and self._standby is None and self._preparing is None:
            loop = asyncio.get_running_loop()
            self._preparing = loop.call_later(self._tools.spare_after_s, self._begin_standby)

    def _begin_standby(self) -> None:
        self._preparing = None
        self._standby = self._begin(waits=True)

    def _end_standby(self) -> None:
        preparing, self._preparing = self._preparing, None
        if preparing is not None:
            preparing.cancel()
        standby, self._standby = self._standby, None
        if standby is not None:
            standby.task.cancel()

    def _line(self, *, waits: bool) -> RenderLine:
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
            waits=waits,
            allowed_networks=browsers.allowed_networks,
            http=job.node.http,
            secure=job.node.secure,
            media=list(job.node.media.items()),
        )

    def _on_line(self, whose: _Browsing, line: RenderUp) -> None:
        if isinstance(line, BeatLine):
            whose.process.count(line.counts.items())
        if whose is self._current:
            self._handle(line)

    def _handle(self, line: RenderUp) -> None:
        if isinstance(line, CrashedLine):
            self._tools.totals["crashes"] += 1
        if self._left:
            return
        match line:
            case PublishedLine(connection=connection, stream=stream):
                self._attempts.published(asyncio.get_running_loop().time())
                self._prepare()
                self._listener.on_published(connection, stream)
            case CrashedLine():
                self._listener.on_crashed()
            case BeatLine():
                self._listener.on_beat()
            case _:
                pass
