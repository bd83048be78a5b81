"""Runs Audio Connectors: a process for each connection to an application, another one after a loss.

The server connects the socket and hands it over, so that no process but the server's chooses an
address. What comes over it is parsed in the process alone.
"""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from config.settings import ConnectorSettings
from sfu.egress.child_link import SILENCE_S, ChildLink, spawn_with
from sfu.egress.connector_jobs import (
    ConnectorJob,
    ConnectorListener,
    HowOver,
    PacketForm,
)
from sfu.egress.connector_lines import (
    BeatLine,
    ConnectLine,
    ConnectorCount,
    ConnectorUp,
    ConnectorUpReader,
    EndLine,
    LeaveLine,
    OpenLine,
    SpeakLine,
    SpokenLine,
)
from sfu.egress.connector_reports import ConnectorReports
from sfu.egress.control import LineError
from sfu.egress.forks import ForkError, Zygote
from sfu.egress.jobs import EgressError

log = logging.getLogger(__name__)

ZYGOTE_MODULE = "sfu.egress.audio.zygote"
RETRIES_S = (0.5, 2.0, 4.0)
"""Waits before each attempt after a loss."""
RETRY_WITHIN_S = 10.0
STEADY_S = 10.0
"""A connection that lasted this long has its own attempts when it is lost."""
HOLD_MS = 60
"""How long packets wait for those that came in another order; speech is not worth more."""
CLOSE_S = 0.5


class Connectors:
    """Implements `ConnectorEgress`."""

    def __init__(
        self,
        settings: ConnectorSettings,
        *,
        program: Sequence[str],
        silence_s: float = SILENCE_S,
        retries_s: Sequence[float] = RETRIES_S,
    ) -> None:
        self._settings = settings
        self._zygote = Zygote(program)
        self._silence_s = silence_s
        self._retries_s = retries_s
        self._runs: dict[Run, None] = {}
        self._totals: Counter[str] = Counter()
        self._closed = False

    def start(self, job: ConnectorJob, media: socket.socket, listener: ConnectorListener) -> "Run":
        if self._closed or len(self._runs) >= self._settings.connections_max:
            raise EgressError("no_capacity", "This server has no room for another connection.")
        self._totals["starts"] += 1
        tools = _Tools(self._zygote, self._settings, self._totals, self._silence_s, self._retries_s)
        run = Run(job, media, listener, tools)
        self._runs[run] = None
        run.task.add_done_callback(lambda _: self._runs.pop(run, None))
        return run

    def counters(self) -> Mapping[str, int]:
        """Totals since the start: starts, reconnects, lies, and what processes counted."""
        return dict(self._totals)

    async def close(self) -> None:
        self._closed = True
        tasks = [run.task for run in self._runs]
        for run in list(self._runs):
            run.leave()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._zygote.close()


@dataclass(frozen=True, slots=True)
class _Tools:
    zygote: Zygote
    settings: ConnectorSettings
    totals: Counter[str]
    silence_s: float
    retries_s: Sequence[float]


class Run:
    """One connector, over its connections. Implements `ConnectorRun`."""

    def __init__(
        self, job: ConnectorJob, media: socket.socket, listener: ConnectorListener, tools: _Tools
    ) -> None:
        self._job = job
        self._media = media
        self._listener = listener
        self._tools = tools
        self._link: ChildLink[ConnectorUp] | None = None
        self._left = False
        self._counted: Mapping[ConnectorCount, int] = {}
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def opened(self) -> None:
        await asyncio.shield(self._opened)

    def speak(self, form: PacketForm) -> None:
        if self._link is not None:
            self._link.send(SpeakLine(form.ssrc, form.payload_type, form.audio_level_id))

    def leave(self) -> None:
        if self._left:
            return
        self._left = True
        if self._link is not None:
            self._link.send(LeaveLine())
        # The process says goodbye; what has no process yet is not waited for.
        asyncio.get_running_loop().call_later(
            CLOSE_S if self._link is not None else 0, self.task.cancel
        )

    async def _run(self) -> None:
        how: HowOver = "process lost"
        try:
            how = await self._connections()
        except asyncio.CancelledError:
            if not self._left:
                raise
        finally:
            was_open = self._opened.done()
            self._fail_opening(how)
        if not self._left and was_open:
            self._left = True
            self._listener.on_over(how)

    async def _connections(self) -> HowOver:
        """Until the connector is over."""
        loop = asyncio.get_running_loop()
        how, lasted_s = await self._one_connection(self._tools.settings.open_s)
        while how != "peer closed" and self._opened.done():
            lost_s = loop.time()
            for wait_s in self._tools.retries_s:
                left_s = lost_s + RETRY_WITHIN_S - loop.time() - wait_s
                if self._left or left_s <= 0:
                    return how
                await asyncio.sleep(wait_s)
                self._tools.totals["reconnects"] += 1
                how, lasted_s = await self._one_connection(min(left_s, self._tools.settings.open_s))
                if how == "peer closed" or lasted_s >= STEADY_S:
                    break
            else:
                return how
        return how

    async def _one_connection(self, open_s: float) -> tuple[HowOver, float]:
        """What it ends with, and how long it was open."""
        loop = asyncio.get_running_loop()
        opened_s: float | None = None
        how: HowOver = "process lost"
        link: ChildLink[ConnectorUp] | None = None
        reports = ConnectorReports(bidirectional=self._job.audio.bidirectional)
        try:
            link = await self._begin(open_s)
            async with asyncio.timeout(open_s) as patience:
                async for line in link.lines(self._tools.silence_s):
                    reports.check(line)
                    if isinstance(line, OpenLine):
                        patience.reschedule(None)
                        opened_s = loop.time()
                        self._note_open()
                    elif isinstance(line, EndLine):
                        how = "peer closed" if line.how == "closed" else "peer lost"
                        break
                    self._handle(line)
        except LineError as lie:
            self._tools.totals["lies"] += 1
            log.warning("the process of an audio connection is not what it was: %s", lie)
        except ForkError:
            log.warning("an audio connection has no process")
        except OSError as failure:  # also a time-out
            how = "peer lost"
            log.info("an audio connection is not there: %s", type(failure).__name__)
        finally:
            self._link = None
            if link is not None:
                await link.close(kill=True)
        return how, 0.0 if opened_s is None else loop.time() - opened_s

    async def _begin(self, dial_s: float) -> ChildLink[ConnectorUp]:
        """The first process of a server takes as long as codecs take to load."""
        async with asyncio.timeout(dial_s):
            connection = await self._job.dial()
        with connection:
            sockets = [self._media, connection]
            link = await spawn_with(self._tools.zygote, sockets, ConnectorUpReader())
        self._link, self._counted = link, {}
        link.send(self._connect_line())
        return link

    def _connect_line(self) -> ConnectLine:
        job, audio = self._job, self._job.audio
        return ConnectLine(
            host=job.host,
            port=job.port,
            resource=job.resource,
            secure=job.secure,
            tls_roots=self._tools.settings.tls_roots,
            upgrade_headers=dict(job.upgrade_headers),
            headers=dict(job.headers),
            rate_hz=audio.rate_hz,
            bidirectional=audio.bidirectional,
            hold_ms=HOLD_MS,
            audio_field=audio.audio_field,
            receive_audio_field=audio.receive_audio_field,
            static_fields=dict(audio.static_fields),
        )

    def _note_open(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)
        elif not self._left:
            self._listener.on_open_again()

    def _handle(self, line: ConnectorUp) -> None:
        match line:
            case SpokenLine():
                if not self._left:
                    self._listener.on_spoken()
            case BeatLine(counts=counts):
                # A process counts from its beginning.
                for name, count in counts.items():
                    self._tools.totals[name] += max(0, count - self._counted.get(name, 0))
                self._counted = counts
            case _:
                pass

    def _fail_opening(self, how: HowOver) -> None:
        if not self._opened.done():
            code = "child_lost" if how == "process lost" else "connect_failed"
            self._opened.set_exception(EgressError(code, "The WebSocket could not be opened."))
            # Whoever waits reads it; nobody may.
            with suppress(EgressError):
                self._opened.exception()
