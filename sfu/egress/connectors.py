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

from config.connector_settings import ConnectorSettings
from sfu.egress.child_link import SILENCE_S, ChildLink, spawn_with
from sfu.egress.connector_jobs import ConnectorJob, ConnectorListener, HowOver
from sfu.egress.connector_lines import (
    BeatLine,
    ConnectLine,
    ConnectorUp,
    ConnectorUpReader,
    EndLine,
    OpenLine,
    SpokenLine,
)
from sfu.egress.connector_reports import ConnectorReports
from sfu.egress.control import LineError
from sfu.egress.forks import ForkError, Zygote
from sfu.egress.jobs import EgressError, PacketForm
from sfu.egress.runs import RunProcess, Runs, speak_line

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
NO_ROOM = "This server has no room for another connection."


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
        zygote = Zygote(program)
        self._runs: Runs[Run] = Runs(zygote, settings.connections_max, NO_ROOM)
        self._tools = _Tools(zygote, settings, self._runs.totals, silence_s, retries_s)

    def start(self, job: ConnectorJob, media: socket.socket, listener: ConnectorListener) -> "Run":
        return self._runs.start(lambda: Run(job, media, listener, self._tools))

    def counters(self) -> Mapping[str, int]:
        """Totals since the start: starts, reconnects, lies, and what processes counted."""
        return dict(self._runs.totals)

    async def close(self) -> None:
        await self._runs.close()


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
        self._process: RunProcess[ConnectorUp] = RunProcess(tools.totals, CLOSE_S)
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def opened(self) -> None:
        await asyncio.shield(self._opened)

    def speak(self, form: PacketForm) -> None:
        self._process.send(speak_line(form))

    def leave(self) -> None:
        self._process.leave(self.task)

    async def _run(self) -> None:
        how: HowOver = "process lost"
        try:
            how = await self._connections()
        except asyncio.CancelledError:
            if not self._process.left:
                raise
        finally:
            was_open = self._opened.done()
            self._fail_opening(how)
        if not self._process.left and was_open:
            self._process.left = True
            self._listener.on_over(how)

    async def _connections(self) -> HowOver:
        """Until the connector is over."""
        loop = asyncio.get_running_loop()
        how, lasted_s = await self._one_connection(self._tools.settings.open_s)
        while how != "peer closed" and self._opened.done():
            lost_s = loop.time()
            for wait_s in self._tools.retries_s:
                left_s = lost_s + RETRY_WITHIN_S - loop.time() - wait_s
                if self._process.left or left_s <= 0:
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
            await self._process.end()
        return how, 0.0 if opened_s is None else loop.time() - opened_s

    async def _begin(self, dial_s: float) -> ChildLink[ConnectorUp]:
        """The first process of a server takes as long as codecs take to load."""
        async with asyncio.timeout(dial_s):
            connection = await self._job.dial()
        with connection:
            sockets = [self._media, connection]
            link = await spawn_with(self._tools.zygote, sockets, ConnectorUpReader())
        self._process.begin(link)
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
        elif not self._process.left:
            self._listener.on_open_again()

    def _handle(self, line: ConnectorUp) -> None:
        match line:
            case SpokenLine():
                if not self._process.left:
                    self._listener.on_spoken()
            case BeatLine(counts=counts):
                self._process.count(counts.items())
            case _:
                pass

    def _fail_opening(self, how: HowOver) -> None:
        if not self._opened.done():
            code = "child_lost" if how == "process lost" else "connect_failed"
            self._opened.set_exception(EgressError(code, "The WebSocket could not be opened."))
            # Whoever waits reads it; nobody may.
            with suppress(EgressError):
                self._opened.exception()
