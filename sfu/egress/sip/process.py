"""The process of one SIP call: control lines on descriptor 3, the tap on 4, the socket of the
signalling on 5, those of RTP on 6 and of RTCP on 7.

It has no environment, no name resolution and no file where the kernel has Landlock: what telephones
send is parsed and decoded here and nowhere else. Where it may send, the server says.
"""

import secrets
import select
import socket
import ssl
import time
from collections import Counter
from collections.abc import Sequence

from sfu.egress.audio import pace
from sfu.egress.audio.session_audio import OpenReader, SessionAudio
from sfu.egress.audio.tls import trust
from sfu.egress.child.confinement import confine
from sfu.egress.child.control_socket import ControlSocket
from sfu.egress.run_lines import LeaveLine, SpeakLine
from sfu.egress.sip.dialog import CallForm, Place
from sfu.egress.sip.digest import Login
from sfu.egress.sip.leg import Leg, Limits
from sfu.egress.sip.media_socket import MediaSocket
from sfu.egress.sip.phone import Phone
from sfu.egress.sip.sdp import SUITES, Key, Local
from sfu.egress.sip.wire import Wire
from sfu.egress.sip_lines import (
    AskLine,
    DialLine,
    MuteLine,
    PlaceLine,
    PressLine,
    SipBeatLine,
    SipCount,
    SipDown,
    SipDownReader,
    SipEndLine,
)
from sfu.egress.sip_reports import MAX_PLACES
from sfu.egress.sip_uri import Uri

CONTROL_DESCRIPTOR, MEDIA_DESCRIPTOR, SIP_DESCRIPTOR = 3, 4, 5
RTP_DESCRIPTOR, RTCP_DESCRIPTOR = 6, 7
BEAT_US = 1_000_000
FIRST_LINE_S = 10.0
GOODBYE_US = 1_500_000
"""How long a BYE waits for its answer."""
MEMORY_BYTES = 268_435_456


def now_us() -> int:
    return time.monotonic_ns() // 1000


def main(open_reader: OpenReader) -> int:
    control = ControlSocket(socket.socket(fileno=CONTROL_DESCRIPTOR), SipDownReader())
    first = control.poll(FIRST_LINE_S)
    if not first or not isinstance(first[0], DialLine):
        return 2
    try:
        tls = trust(first[0].tls_roots) if first[0].transport == "tls" else None
    except OSError:
        control.send(SipEndLine("refused", 503, "Service Unavailable"))
        return 1
    confine(None, MEMORY_BYTES)
    _Process(first[0], control, tls, open_reader).run(first[1:])
    return 0


def _leg(job: DialLine, at_us: int) -> Leg:
    """Errors: `MessageError`."""
    login = None if job.username is None else Login(job.username, job.password)
    form = CallForm(
        target=Uri.parse(job.target),
        caller=job.caller,
        transport=job.transport,
        host=job.host,
        port=job.sip_port,
        headers=tuple(job.headers),
        login=login,
    )
    suites = SUITES if job.secure else ()
    keys = tuple(
        Key(suite, secrets.token_bytes(suite.key_bytes), str(number))
        for number, suite in enumerate(suites, 1)
    )
    local = Local(job.host, job.rtp_port, secrets.randbits(31), keys)
    limits = Limits(job.no_media_s * 1_000_000, job.max_s * 1_000_000)
    cname, random = secrets.token_hex(12), secrets.SystemRandom().random
    phone = Phone(secrets.randbits(32), secrets.randbits(15), at_us, cname, random)
    return Leg(form, local, limits, phone, lambda: secrets.token_hex(8), at_us)


class _Process:
    def __init__(
        self,
        job: DialLine,
        control: ControlSocket[SipDown],
        tls: ssl.SSLContext | None,
        open_reader: OpenReader,
    ) -> None:
        at_us = now_us()
        self._leg = _leg(job, at_us)
        self._control = control
        self._session = SessionAudio(MEDIA_DESCRIPTOR, job.hold_ms, open_reader, self._leg.phone)
        signalling = socket.socket(fileno=SIP_DESCRIPTOR)
        name = Uri.parse(job.target).host
        self._wire = Wire(signalling, (job.peer_host, job.peer_port), tls, name)
        self._rtp = MediaSocket(socket.socket(fileno=RTP_DESCRIPTOR), job.peer_host)
        rtcp = socket.socket(fileno=RTCP_DESCRIPTOR)
        self._rtcp = MediaSocket(rtcp, job.peer_host, has_reports=True)
        self._pace = pace.Pace(at_us)
        self._places: dict[Place, Place | None] = {}
        self._waiting: dict[Place, list[bytes]] = {}
        self._hosts = {job.peer_host}
        self._keys: tuple[Key, Key] | None = None
        self._goodbye_us: int | None = None
        self._beat_us = 0
        self._counts: Counter[SipCount] = Counter()

    def run(self, first: Sequence[SipDown]) -> None:
        self._handle_lines(first)
        while not self._is_over(now_us()):
            self._wait(min(self._pace.due_us, self._leg.call.due_us))
            self._step()
        self._step()
        self._send_report(self._leg.phone.goodbye(now_us(), time.time()))

    def _is_over(self, at_us: int) -> bool:
        if self._leg.is_over:
            return True
        if self._leg.is_leaving and self._goodbye_us is None:
            self._goodbye_us = at_us + GOODBYE_US
        return self._goodbye_us is not None and at_us > self._goodbye_us

    def _wait(self, until_us: int) -> None:
        """Until something came or is due, and handles what came."""
        sources: list[ControlSocket[SipDown] | Wire | MediaSocket]
        sources = [self._control, self._rtp, self._rtcp]
        if not self._wire.is_lost:
            sources.append(self._wire)
        writers = [self._wire] if self._wire.wants_to_write else []
        left_s = max(0.0, (until_us - now_us()) / 1_000_000)
        readable, writable, _ = select.select(sources, writers, [], left_s)
        at_us = now_us()
        if writable:
            self._wire.write()
        if self._wire in readable:
            for data, source in self._wire.read():
                if source is None or source[0] in self._hosts:
                    self._leg.handle_message(data, source, at_us)
                else:
                    self._counts["messages_of_strangers"] += 1
        if self._control in readable:
            self._handle_lines(self._control.poll())
        self._read_media(at_us)

    def _read_media(self, at_us: int) -> None:
        """Nothing where nothing has come."""
        for packet in self._rtp.read():
            self._leg.handle_packet(packet, at_us)
        for packet in self._rtcp.read():
            self._leg.phone.reports.handle(packet, at_us)

    def _handle_lines(self, lines: Sequence[SipDown]) -> None:
        for line in lines:
            match line:
                case SpeakLine():
                    self._session.may_speak(line)
                case PressLine(digits):
                    self._leg.phone.press(digits)
                case MuteLine(on):
                    self._leg.phone.is_muted = on
                case PlaceLine(host, port, address):
                    self._learn((host, port), address)
                case LeaveLine():
                    self._leave()
                case DialLine():
                    pass  # a process has one call

    def _leave(self) -> None:
        at_us = now_us()
        self._goodbye_us = self._goodbye_us or at_us + GOODBYE_US
        self._leg.hang_up(at_us)

    def _step(self) -> None:
        at_us = now_us()
        if self._control.closed and self._goodbye_us is None:
            self._leave()
        if self._wire.is_lost and not self._leg.is_over:
            self._leg.lose()
        self._leg.handle_time(at_us)
        self._session.listen(at_us)
        if self._session.is_over and self._goodbye_us is None:
            self._leave()
        self._follow_the_call()
        for slot in self._pace.slots(at_us):
            packet, speech = self._leg.step(slot)
            if packet is not None and self._rtp.send(packet):
                self._counts["packets_sent"] += 1
            if speech is not None:
                self._session.speak(slot, speech, at_us)
        self._send_report(self._leg.phone.report(at_us, time.time()))
        for message in self._leg.call.take_outgoing():
            self._send(message.data, message.to)
        for line in self._leg.take_reports():
            self._control.send(line)
        self._beat(at_us)

    def _follow_the_call(self) -> None:
        """What both ends agreed on."""
        keys = self._leg.keys
        if keys is not None and keys != self._keys:
            self._keys = keys
            self._rtp.set_keys(*keys)
            self._rtcp.set_keys(*keys)
        place = self._leg.place
        if place is not None:
            found = self._reach(place)
            self._rtp.set_place(found)
            port = self._leg.report_port
            self._rtcp.set_place((found[0], port) if found is not None and port else None)

    def _send_report(self, report: bytes | None) -> None:
        if report is not None and self._rtcp.send(report):
            self._counts["reports_sent"] += 1

    def _reach(self, place: Place) -> Place | None:
        """Where it is, once the server has said so; None before, and if it must not be reached."""
        if place not in self._places and place not in self._waiting:
            if len(self._places) + len(self._waiting) >= MAX_PLACES:
                return None
            self._waiting[place] = []
            self._control.send(AskLine(*place))
        return self._places.get(place)

    def _learn(self, place: Place, address: str) -> None:
        waiting = self._waiting.pop(place, None)
        if waiting is None:
            return  # nobody asked
        self._places[place] = found = (address, place[1]) if address else None
        if address:
            self._hosts.add(address)
        for data in waiting:
            self._wire.send(data, found)

    def _send(self, data: bytes, to: Place | None) -> None:
        """A place that must not be reached, or that nobody knows, is reached by the first one."""
        if to is not None and to[0] not in self._hosts:
            found = self._reach(to)
            if to in self._waiting:
                self._waiting[to].append(data)
                return
            to = found
        self._wire.send(data, to)

    def _beat(self, at_us: int) -> None:
        if at_us < self._beat_us:
            return
        self._beat_us = at_us + BEAT_US
        leg = self._leg
        ignored = self._rtp.ignored + self._rtcp.ignored
        self._counts["packets_ignored"] = leg.phone.ignored_packets + ignored
        self._counts["reports_received"] = leg.phone.reports.received
        self._counts["messages_ignored"] = leg.call.ignored
        self._counts["unsent"] = self._wire.unsent + self._rtp.unsent + self._rtcp.unsent
        counts = self._counts + self._session.counts
        self._control.send(SipBeatLine(dict(counts)), must_arrive=False)
