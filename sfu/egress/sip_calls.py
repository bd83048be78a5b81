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
from sfu.egress.control import LineError
from sfu.egress.forks import ForkError, Zygote
from sfu.egress.jobs import PacketForm
from sfu.egress.runs import RunProcess, Runs, speak_line
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
NO_ROOM = "This server has no room for another call."
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
        zygote = Zygote(program)
        self._runs: Runs[CallRun] = Runs(zygote, settings.calls_max, NO_ROOM)
        self._tools = _Tools(zygote, settings, self._runs.totals, silence_s)

    def start(self, job: SipJob, media: socket.socket, listener: SipListener) -> "CallRun":
        return self._runs.start(lambda: CallRun(job, media, listener, self._tools))

    def counters(self) -> Mapping[str, int]:
        """Totals since the start: starts, and what processes counted."""
        return dict(self._runs.totals)

    async def close(self) -> None:
        await self._runs.close()


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
        self._process: RunProcess[SipUp] = RunProcess(tools.totals, CLOSE_S)
        self._waiting: list[Struct] = []
        self._standing: dict[type[Struct], Struct] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self.task = asyncio.get_running_loop().create_task(self._run())

    def speak(self, form: PacketForm) -> None:
        self._stand(speak_line(form))

    def press(self, digits: str) -> None:
        self._send(PressLine(digits))

    def mute(self, *, on: bool) -> None:
        self._stand(MuteLine(on))

    def leave(self) -> None:
        self._process.leave(self.task)

    def _stand(self, line: Struct) -> None:
        """What holds for the process of another address, too, if the call is redirected."""
        self._standing[type(line)] = line
        self._process.send(line)

    def _send(self, line: Struct) -> None:
        if not self._process.send(line):
            self._waiting.append(line)

    async def _run(self) -> None:
        end = _LOST
        try:
            end = await self._calls()
        except asyncio.CancelledError:
            if not self._process.left:
                raise
        finally:
            self._media.close()
            for task in self._asking:
                task.cancel()
        if not self._process.left:
            self._process.left = True
            self._listener.on_over(end)

    async def _calls(self) -> CallEnd:
        """The call, and the one to whom it was redirected. No further: two that name each other
        would not end."""
        outcome = await self._one_call(self._job.target)
        if isinstance(outcome, Uri) and not self._process.left:
            self._tools.totals["redirected"] += 1
            outcome = await self._one_call(outcome)
        if isinstance(outcome, CallEnd):
            return outcome
        return CallEnd("refused", 302, "Moved Temporarily")

    async def _one_call(self, target: Uri) -> CallEnd | Uri:
        outcome: CallEnd | Uri = _LOST
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
            await self._process.end()
        return outcome

    async def _begin(self, target: Uri) -> ChildLink[SipUp]:
        settings = self._tools.settings
        if target.transport not in TRANSPORTS:
            raise OSError("an unknown transport")
        async with asyncio.timeout(settings.open_s):
            sockets = await open_sockets(target, self._job.reach, settings)
        with closing(sockets):
            given = [self._media, sockets.signalling, sockets.rtp, sockets.rtcp]
            link = await spawn_with(self._tools.zygote, given, SipUpReader())
            self._process.begin(link)
            link.send(self._dial_line(target, sockets))
        for line in (*self._standing.values(), *self._waiting):
            link.send(line)
        self._waiting = []
        if not self._process.left:
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
                if not self._process.left:
                    self._listener.on_state(state)
            case DigitLine(digit):
                if not self._process.left:
                    self._listener.on_digit(digit)
            case SipBeatLine(counts):
                self._process.count(counts.items())
            case RedirectLine(text):
                return _redirection(text)
            case SipEndLine(how, status, reason):
                return CallEnd(how, status, reason)
        return None

    async def _find(self, host: str, port: int) -> None:
        address = ""
        try:
            async with asyncio.timeout(self._tools.settings.open_s):
                address = (await self._job.reach.addresses(host, port))[0][0]
        except OSError as failure:
            self._tools.totals["places_refused"] += 1
            log.info("a call names a place that is not reached: %s", type(failure).__name__)
        self._process.send(PlaceLine(host, port, address))


def _redirection(text: str) -> CallEnd | Uri:
    try:
        return Uri.parse(text)
    except MessageError:
        return _LOST
