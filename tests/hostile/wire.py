"""What a packet on the wire is: a part of an encrypted frame, or a leak.

An own reading of RFC 9605, not the clients': a fault there must not hide here.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.hostile.codecs import CODECS
from tests.hostile.media import Rtp
from tests.hostile.passed import frame_id

NUMBERS = 2**16
"""Of packets, before they begin again."""


@dataclass(frozen=True, slots=True)
class Sframe:
    kid: bytes
    ctr: int

    @property
    def hint(self) -> int:
        return int.from_bytes(self.kid[-2:], "big")


def read_header(data: bytes) -> Sframe | None:
    """RFC 9605 section 4.3; None unless it is one of the format: a key id of eight bytes whose
    top bit is set, and room for a tag of ten bytes behind it."""
    if len(data) < 20 or data[0] & 0xF0 != 0xF0:
        return None
    kid, rest = data[1:9], data[9:]
    ctr = data[0] & 7
    if data[0] & 8:
        length = ctr + 1
        ctr, rest = int.from_bytes(rest[:length], "big"), rest[length:]
    if len(rest) < 10 or not kid[0] & 0x80:
        return None
    return Sframe(kid, ctr)


@dataclass(slots=True)
class Frame:
    """What came of one frame; whole with its marker."""

    timestamp: int
    packets: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Leak:
    """A frame, or a packet of no negotiated form, that was not encrypted as it must be."""

    what: str
    at_s: float
    track: str
    head: str


@dataclass(slots=True)
class WireJudge:
    """Looks at all that one client sends."""

    kids: set[bytes] = field(default_factory=set)
    leaks: list[Leak] = field(default_factory=list)
    hints: list[int] = field(default_factory=list)
    frames: int = 0
    ids: dict[tuple[int, str], list[str]] = field(default_factory=dict)
    """Frames by the hint of their secret and their track."""
    announced: set[int] = field(default_factory=set)
    """Hints of the secrets that the client named."""
    undeclared: dict[bytes, Leak] = field(default_factory=dict)
    """Of key ids that were never declared: no honest call has any. Clear Opus may look like the
    header of a frame, so their secret must be one that was announced, sooner or later."""
    last_s: dict[int, float] = field(default_factory=dict)
    """When the newest frame under each hint came."""
    doubtful: list[bytes] = field(default_factory=list)
    _open: dict[int, Frame] = field(default_factory=dict)

    def declare(self, kids: Iterable[bytes]) -> None:
        self.kids |= set(kids)

    def verdict(self) -> list[Leak]:
        """All leaks, once the client has said all that it says."""
        clear = [k for k in self.doubtful if int.from_bytes(k[-2:], "big") not in self.announced]
        return [*self.leaks, *(self.undeclared[kid] for kid in clear)]

    def take(self, track: str, codec: str | None, packet: Rtp) -> None:
        if not packet.payload:
            return  # padding carries nothing
        if codec == "opus":
            self._judge(track, packet.payload, packet.payload)
        elif codec is not None and codec.lower() in CODECS:
            self._take_video(track, codec.lower(), packet)
        else:
            self._leak("a payload type of no codec that is encrypted", track, packet.payload)

    def _take_video(self, track: str, codec: str, packet: Rtp) -> None:
        frame = self._open.get(packet.ssrc)
        if frame is None or frame.timestamp != packet.timestamp:
            frame = self._open[packet.ssrc] = Frame(packet.timestamp)
        frame.packets[packet.number] = packet.payload
        if not packet.marker:
            return
        del self._open[packet.ssrc]
        first = packet.number - NUMBERS // 2  # numbers begin again
        numbers = sorted(frame.packets, key=lambda number: (number - first) % NUMBERS)
        try:
            found = CODECS[codec].encrypted([frame.packets[number] for number in numbers])
        except (ValueError, IndexError):
            if (numbers[-1] - numbers[0]) % NUMBERS < len(numbers):  # else a part was lost
                self._leak(f"not {codec}", track, packet.payload)
            return
        if found is not None:  # else its beginning was lost
            self._judge(track, *found)

    def _judge(self, track: str, sframe: bytes, whole: bytes) -> None:
        self.frames += 1
        header = read_header(sframe)
        if header is None:
            self._leak("a clear frame", track, sframe)
        else:
            if header.kid not in self.kids:
                leak = Leak("a clear frame", time.monotonic(), track, sframe[:16].hex())
                self.undeclared.setdefault(header.kid, leak)
                self.doubtful.append(header.kid)
            self.ids.setdefault((header.hint, track), []).append(frame_id(whole))
            self.last_s[header.hint] = time.monotonic()
            if not self.hints or self.hints[-1] != header.hint:
                self.hints.append(header.hint)

    def _leak(self, what: str, track: str, data: bytes) -> None:
        self.leaks.append(Leak(what, time.monotonic(), track, data[:16].hex()))
