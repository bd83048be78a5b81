"""Runs SIP calls: a process for each.

The server opens the sockets and says where the process may send, so that no process but the
server's chooses an address. What telephones send is parsed in the process alone.
"""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from msgspec import Struct

from config.sip_settings import SipSettings
from sfu.egress.child_link import SILENCE_S, ChildLink, spawn_with
from sfu.egress.connector_jobs import PacketForm
from sfu.egress.connector_lines import LeaveLine, SpeakLine
from sfu.egress.control import LineError
from sfu.egress.forks import ForkError, Zygote
from sfu.egress.jobs import EgressError
from sfu.egress.sip_jobs import CallEnd, SipJob, SipListener
from sfu.egress.sip_lines import (
    AskLine,
    CallLine,
    DialLine,
    DigitLine,
    MuteLine,
    PlaceLine,
    PressLine,
    RedirectLine,
    SipBeatLine,
    SipCount,
    SipEndLine,
    SipUp,
    SipUpReader,
)
from sfu.egress.sip_reports import SipReports
from sfu.egress.sip_sockets import Sockets, open_sockets
from sfu.egress.sip_uri import MessageError, Uri

log = logging.getLogger(__name__)

ZYGOTE_MODULE = "sfu.egress.sip.zygote"
HOLD_MS = 60
CLOSE_S = 2.5
"""A process waits a little for the answer to its BYE."""
TRANSPORTS = ("udp", "tcp", "tls")
_UNREACHABLE = CallEnd("refused", 503, "Service Unavailable")
_LOST = CallEnd("lost")


class Calls:
    """Implements `SipEgress`."""

    def __init__(
        self,
        settings: SipSettings,
        *,
        program: Sequence[str],
        silence_s: float = SILENCE_S,
    ) -> None:
        self._settings = settings
        self._zygote = Zygote(program)
        self._silence_s = silence_s
        self._runs: dict[CallRun, None] = {}
        self._totals: Counter[str] = Counter()
        self._closed = False

    def start(self, job: SipJob, media: socket.socket, listener: SipListener) -> "CallRun":
        if self._closed or len(self._runs) >= self._settings.calls_max:
            raise EgressError("no_capacity", "This server has no room for another call.")
        self._totals["starts"] += 1
        tools = _Tools(self._zygote, self._settings, self._totals, self._silence_s)
        run = CallRun(job, media, listener, tools)
        self._runs[run] = None
        run.task.add_done_callback(lambda _: self._runs.pop(run, None))
        return run

    def counters(self) -> Mapping[str, int]:
        """Totals since the start: starts, and what processes counted."""
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
    settings: SipSettings
    totals: Counter[str]
    silence_s: float


class CallRun:
    """One call. Implements `SipRun`."""

    def __init__(
        self, job: SipJob, media: socket.socket, listener: SipListener, tools: _Tools
    ) -> None:
        self._job = job
        # The call says goodbye after its tap is closed.
        self._media = media.dup()
        self._listener = listener
        self._tools = tools
        self._link: ChildLink[SipUp] | None = None
        self._waiting: list[Struct] = []
        self._asking: set[asyncio.Task[None]] = set()
        self._left = False
        self._counted: Mapping[SipCount, int] = {}
        self.task = asyncio.get_running_loop().create_task(self._run())

    def speak(self, form: PacketForm) -> None:
        self._send(SpeakLine(form.ssrc, form.payload_type, form.audio_level_id))

    def press(self, digits: str) -> None:
        self._send(PressLine(digits))

    def mute(self, *, on: bool) -> None:
        self._send(MuteLine(on))

    def leave(self) -> None:
        if self._left:
            return
        self._left = True
        if self._link is not None:
            self._link.send(LeaveLine())
        # What has no process yet calls nobody.
        asyncio.get_running_loop().call_later(
            CLOSE_S if self._link is not None else 0, self.task.cancel
        )

    def _send(self, line: Struct) -> None:
        if self._link is None:
            self._waiting.append(line)
        else:
            self._link.send(line)

    async def _run(self) -> None:
        end = _LOST
        try:
            end = await self._calls()
        except asyncio.CancelledError:
            if not self._left:
                raise
        finally:
            self._media.close()
            for task in self._asking:
                task.cancel()
        if not self._left:
            self._left = True
            self._listener.on_over(end)

    async def _calls(self) -> CallEnd:
        """The call, and the one to whom it was redirected. No further: two that name each other
        would not end."""
        outcome = await self._one_call(self._job.target)
        if isinstance(outcome, Uri) and not self._left:
            self._tools.totals["redirected"] += 1
            outcome = await self._one_call(outcome)
        if isinstance(outcome, CallEnd):
            return outcome
        return CallEnd("refused", 302, "Moved Temporarily")

    async def _one_call(self, target: Uri) -> CallEnd | Uri:
        outcome: CallEnd | Uri = _LOST
        link: ChildLink[SipUp] | None = None
        try:
            link = await self._begin(target)
            reports = SipReports()
            async for line in link.lines(self._tools.silence_s):
                reports.check(line)
                found = self._handle(line)
                if found is not None:
                    outcome = found
                    break
        except LineError as lie:
            outcome = _LOST
            self._tools.totals["lies"] += 1
            log.warning("the process of a call is not what it was: %s", lie)
        except ForkError:
            log.warning("a call has no process")
        except OSError as failure:  # also a time-out
            outcome = _UNREACHABLE
            log.info("a SIP server is not there: %s", type(failure).__name__)
        finally:
            self._link = None
            if link is not None:
                await link.close(kill=True)
        return outcome

    async def _begin(self, target: Uri) -> ChildLink[SipUp]:
        settings = self._tools.settings
        if target.transport not in TRANSPORTS:
            raise OSError("an unknown transport")
        async with asyncio.timeout(settings.open_s):
            sockets = await open_sockets(target, self._job.reach, settings)
        with closing(sockets):
            given = [self._media, sockets.signalling, sockets.rtp]
            link = await spawn_with(self._tools.zygote, given, SipUpReader())
            link.send(self._dial_line(target, sockets))
        self._counted = {}
        for line in self._waiting:
            link.send(line)
        self._link, self._waiting = link, []
        if not self._left:
            self._listener.on_state("dialing")
        return link

    def _dial_line(self, target: Uri, sockets: Sockets) -> DialLine:
        job, settings = self._job, self._tools.settings
        transport = target.transport
        return DialLine(
            target=str(target),
            caller=job.caller,
            transport="tls" if transport == "tls" else "tcp" if transport == "tcp" else "udp",
            host=sockets.host,
            sip_port=sockets.sip_port,
            rtp_port=sockets.rtp_port,
            peer_host=sockets.peer[0],
            peer_port=sockets.peer[1],
            secure=job.secure,
            hold_ms=HOLD_MS,
            no_media_s=settings.no_media_s,
            max_s=settings.max_s,
            headers=list(job.headers),
            username=job.username,
            password=job.password,
            tls_roots=settings.tls_roots,
        )

    def _handle(self, line: SipUp) -> CallEnd | Uri | None:
        """The outcome, if it is the last line."""
        match line:
            case AskLine(host, port):
                task = asyncio.get_running_loop().create_task(self._find(host, port))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)
            case CallLine(state):
                if not self._left:
                    self._listener.on_state(state)
            case DigitLine(digit):
                if not self._left:
                    self._listener.on_digit(digit)
            case SipBeatLine(counts):
                self._count(counts)
            case RedirectLine(text):
                return _redirection(text)
            case SipEndLine(how, status, reason):
                return CallEnd(how, status, reason)
        return None

    def _count(self, counts: Mapping[SipCount, int]) -> None:
        """A process counts from its beginning."""
        for name, count in counts.items():
            self._tools.totals[name] += max(0, count - self._counted.get(name, 0))
        self._counted = counts

    async def _find(self, host: str, port: int) -> None:
        address = ""
        try:
            async with asyncio.timeout(self._tools.settings.open_s):
                address = (await self._job.reach.addresses(host, port))[0][0]
        except OSError as failure:
            self._tools.totals["places_refused"] += 1
            log.info("a call names a place that is not reached: %s", type(failure).__name__)
        if self._link is not None:
            self._link.send(PlaceLine(host, port, address))


def _redirection(text: str) -> CallEnd | Uri:
    try:
        return Uri.parse(text)
    except MessageError:
        return _LOST
