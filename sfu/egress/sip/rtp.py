"""RTP packets and telephone events (RFC 3550, RFC 4733); pure."""

import struct
from collections import deque
from dataclasses import dataclass

_HEADER = struct.Struct(">BBHII")
_EVENT = struct.Struct(">BBH")
DIGITS = "0123456789*#ABCD"
TONE_SLOTS = 5
"""100 ms: as long as gateways want, at least."""
PAUSE_SLOTS = 3
WAIT_SLOTS = 25
"""Of a `p` among digits: half a second."""
_LAST_COPIES = 3
"""The end of an event is sent three times, so that it arrives (RFC 4733 section 2.5.1.4)."""
_VOLUME = 10
_END = 0x80
MAX_DIGITS = 1_024


@dataclass(frozen=True, slots=True)
class Packet:
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def read(data: bytes) -> Packet | None:
    """None: it is no RTP."""
    if len(data) < _HEADER.size or data[0] >> 6 != 2:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    at = _HEADER.size + 4 * (first & 0x0F)
    if first & 0x10:
        if len(data) < at + 4:
            return None
        at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4])
    end = len(data)
    if first & 0x20 and end > at:
        end -= data[-1]
    if at > end or 72 <= second & 0x7F <= 76:  # RTCP on the same port
        return None
    return Packet(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[at:end])


def write(packet: Packet) -> bytes:
    second = packet.payload_type | (0x80 if packet.marker else 0)
    head = _HEADER.pack(0x80, second, packet.sequence & 0xFFFF, packet.timestamp, packet.ssrc)
    return head + packet.payload


@dataclass(frozen=True, slots=True)
class EventPart:
    """One packet of a digit. `begins_ago`: slots since it began."""

    digit: str
    begins_ago: int
    is_first: bool
    is_last: bool

    def payload(self, slot_samples: int) -> bytes:
        duration = min(self.begins_ago + 1, TONE_SLOTS) * slot_samples
        flags = _VOLUME | (_END if self.is_last else 0)
        return _EVENT.pack(DIGITS.index(self.digit), flags, min(duration, 0xFFFF))


class Keypad:
    """Digits that are pressed one after the other, a step every 20 ms."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._digit = ""
        self._step = 0

    @property
    def is_idle(self) -> bool:
        return not self._waiting and not self._digit

    def press(self, digits: str) -> None:
        room = MAX_DIGITS - len(self._waiting)
        self._waiting.extend(digits[:room])

    def next(self) -> str | None:
        """The next digit for who sends it in another way; None where there is none."""
        return self._waiting.popleft() if self._waiting else None

    def step(self) -> EventPart | None:
        """What is sent instead of audio in this slot; None: audio goes on."""
        if not self._digit:
            if not self._waiting:
                return None
            self._digit, self._step = self._waiting.popleft(), 0
        at, self._step = self._step, self._step + 1
        if self._digit == "p":
            self._end_after(WAIT_SLOTS)
            return None
        digit = self._digit
        self._end_after(TONE_SLOTS + _LAST_COPIES + PAUSE_SLOTS)
        if at >= TONE_SLOTS + _LAST_COPIES:
            return None
        is_last = at >= TONE_SLOTS
        return EventPart(digit, at, at == 0, is_last)

    def _end_after(self, slots: int) -> None:
        if self._step >= slots:
            self._digit = ""


class EventEar:
    """Digits that the other end presses, each told once."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None

    def hear(self, packet: Packet) -> str | None:
        if len(packet.payload) < _EVENT.size:
            return None
        code, _flags, _duration = _EVENT.unpack_from(packet.payload)
        this = (code, packet.timestamp)
        if this == self._last or code >= len(DIGITS):
            return None
        self._last = this
        return DIGITS[code]


class Clock:
    """RTP timestamps as times of the host: those of the fastest packets."""

    _JUMP_US = 500_000
    _DRIFT_US = 20
    """Each packet lets the map go back a little: the other clock may be slower than ours."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._last = 0
        self._samples = 0
        self._offset_us: int | None = None

    def time_of(self, timestamp: int, now_us: int) -> int:
        if self._offset_us is not None:
            ahead = (timestamp - self._last + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000
            self._samples += ahead
        self._last = timestamp
        at_us = self._samples * 1_000_000 // self._rate_hz
        here_us = now_us - at_us
        if self._offset_us is None or abs(here_us - self._offset_us) > self._JUMP_US:
            self._offset_us = here_us
        self._offset_us = min(here_us, self._offset_us + self._DRIFT_US)
        return at_us + self._offset_us
