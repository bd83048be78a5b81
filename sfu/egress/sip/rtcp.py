"""Reports about the packets of a call (RTCP, RFC 3550 section 6); pure.

Each end says what it sent and when, and what of the other end's packets arrived. Gateways show it
to their operators, and some end a call of which they get no reports.
"""

import struct
from collections.abc import Callable

from sfu.egress.sip.rtp import Packet

_HEAD = struct.Struct(">BBH")
_SENDER = struct.Struct(">IIIIII")
_BLOCK = struct.Struct(">IIIIII")
_SENDER_REPORT, _RECEIVER_REPORT, _DESCRIPTION, _GOODBYE = 200, 201, 202, 203
_CNAME = 1
_UNIX_TO_NTP_S = 2_208_988_800
_INTERVAL_US = 5_000_000
"""Between two reports, half of it up to one and a half times of it (section 6.2)."""
_MAX_LOST = 0x7F_FFFF
_MAX_DROPOUT = 3_000
"""A number that is further ahead belongs to a source that began again (appendix A.1)."""


class Source:
    """What came of one source (appendices A.1, A.3 and A.8)."""

    def __init__(self, ssrc: int, sequence: int) -> None:
        self.ssrc = ssrc
        self._first = self._highest = sequence
        self._received = 0
        self._before = (0, 0)
        self._transit: int | None = None
        self._jitter = 0.0

    def note(self, packet: Packet, rate_hz: int, now_us: int) -> None:
        ahead = (packet.sequence - self._highest + 0x8000 & 0xFFFF) - 0x8000
        if abs(ahead) > _MAX_DROPOUT:
            self._first = self._highest = packet.sequence
            self._received, self._before, self._transit = 0, (0, 0), None
        elif ahead > 0:
            self._highest += ahead
        self._received += 1
        transit = now_us * rate_hz // 1_000_000 - packet.timestamp & 0xFFFF_FFFF
        if self._transit is not None:
            apart = (transit - self._transit + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000
            self._jitter += (abs(apart) - self._jitter) / 16
        self._transit = transit

    def block(self, last_report: int, delay: int) -> bytes:
        """Of a report. `last_report`, `delay`: of the source's own last one."""
        expected = self._highest - self._first + 1
        of_expected, of_received = (
            now - before
            for now, before in zip((expected, self._received), self._before, strict=True)
        )
        self._before = (expected, self._received)
        lost = of_expected - of_received
        fraction = min(255, 256 * lost // of_expected) if lost > 0 else 0
        total = max(-_MAX_LOST - 1, min(_MAX_LOST, expected - self._received)) & 0xFF_FFFF
        return _BLOCK.pack(
            self.ssrc,
            fraction << 24 | total,
            self._highest & 0xFFFF_FFFF,
            min(int(self._jitter), 0xFFFF_FFFF),
            last_report,
            delay,
        )


class Reports:
    """Of one call. `random`: at least 0 and less than 1. `cname`: says nothing of anybody (RFC
    7022)."""

    def __init__(self, ssrc: int, cname: str, random: Callable[[], float]) -> None:
        self.received = 0
        self._ssrc = ssrc
        self._cname = cname.encode()
        self._random = random
        self._packets = self._bytes = 0
        self._reported_packets = 0
        self._source: Source | None = None
        self._last: tuple[int, int] | None = None
        self._due_us: int | None = None

    def note_sent(self, payload_bytes: int) -> None:
        self._packets += 1
        self._bytes += payload_bytes

    def note_received(self, packet: Packet, rate_hz: int, now_us: int) -> None:
        if self._source is None or self._source.ssrc != packet.ssrc:
            self._source, self._last = Source(packet.ssrc, packet.sequence), None
        self._source.note(packet, rate_hz, now_us)

    def handle(self, data: bytes, now_us: int) -> None:
        """A packet of the other end; what is none is left alone."""
        at = 0
        while len(data) - at >= _HEAD.size:
            first, kind, words = _HEAD.unpack_from(data, at)
            body, at = data[at + 4 : at + 4 + 4 * words], at + 4 + 4 * words
            if first >> 6 != 2 or len(body) < 4 * words:
                return
            if kind in (_SENDER_REPORT, _RECEIVER_REPORT):
                self.received += 1
            if kind == _SENDER_REPORT and len(body) >= _SENDER.size:
                ssrc, seconds, fraction, *_ = _SENDER.unpack_from(body)
                if self._source is not None and ssrc == self._source.ssrc:
                    self._last = (seconds << 16 | fraction >> 16) & 0xFFFF_FFFF, now_us

    def due(self, now_us: int) -> bool:
        """Whether to report now; the first time some seconds after the first question."""
        if self._due_us is not None and now_us < self._due_us:
            return False
        is_first, self._due_us = self._due_us is None, self._next_us(now_us)
        return not is_first

    def _next_us(self, now_us: int) -> int:
        return now_us + int(_INTERVAL_US * (0.5 + self._random()))

    def report(self, now_us: int, unix_s: float, timestamp: int) -> bytes:
        """`timestamp`: of RTP packets at this moment."""
        block = b"" if self._source is None else self._source.block(*self._delay(now_us))
        has_sent, self._reported_packets = (
            self._packets != self._reported_packets,
            self._packets,
        )
        count = 1 if block else 0
        if has_sent:
            body = _SENDER.pack(
                self._ssrc,
                int(unix_s) + _UNIX_TO_NTP_S & 0xFFFF_FFFF,
                int(unix_s % 1 * 2**32),
                timestamp & 0xFFFF_FFFF,
                self._packets & 0xFFFF_FFFF,
                self._bytes & 0xFFFF_FFFF,
            )
            report = _packet(_SENDER_REPORT, count, body + block)
        else:
            report = _packet(_RECEIVER_REPORT, count, self._ssrc.to_bytes(4) + block)
        return report + self._description()

    def goodbye(self, now_us: int, unix_s: float, timestamp: int) -> bytes:
        """The last one."""
        own = self._ssrc.to_bytes(4)
        return self.report(now_us, unix_s, timestamp) + _packet(_GOODBYE, 1, own)

    def _delay(self, now_us: int) -> tuple[int, int]:
        """The other end's last report, and how long ago that was, in 1/65,536 s."""
        if self._last is None:
            return 0, 0
        report, came_us = self._last
        return report, min((now_us - came_us) * 65_536 // 1_000_000, 0xFFFF_FFFF)

    def _description(self) -> bytes:
        item = bytes((_CNAME, len(self._cname))) + self._cname
        padding = bytes(4 - len(item) % 4)  # at least one: it ends the list
        return _packet(_DESCRIPTION, 1, self._ssrc.to_bytes(4) + item + padding)


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return _HEAD.pack(0x80 | count, kind, len(body) // 4) + body
