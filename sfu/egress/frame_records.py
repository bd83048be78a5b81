"""Frames on their way to a process that records, where they do not come as packets: the records of
a tap (`native/rtp/src/tap_record.rs`) with one more kind; pure.

One record is one datagram: the header of 16 bytes that all records have, then the body. A frame
that is longer than a record is cut, and all its parts but the last are marked.

    0 kind u8 | 1 flags u8 | 2 version u16 | 4 ssrc u32 | 8 arrival_us u64

The body of a frame's first part: `pts_us i64 | duration_us u32 | codec u8 | 3 bytes | data`; of its
others the data alone. That of what is missing: `from_us i64 | to_us i64 | reason u8`.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

VERSION = 1
JSON, END, FEEDBACK, FRAME, MISSED = 3, 5, 6, 9, 10
KEY, MORE = 1, 2
"""Flags of a frame."""
PART_BYTES = 32_768
MAX_RECORD_BYTES = 65_536
MAX_FRAME_BYTES = 8_388_608
"""A key frame of 4,096 pixels is far below."""
CODECS = ("opus", "vp8", "h264", "vp9", "av1")
"""By their numbers: what the SDK decrypts."""
MISSED_REASONS = ("network", "secret")
"""By their numbers, as the manifest has them. `secret`: what came is encrypted under one that the
member service did not have."""
_KINDS = dict.fromkeys(CODECS, "video") | {"opus": "audio"}
_HEADER = struct.Struct("<BBHIQ")
_FRAME = struct.Struct("<qIB3x")
_MISSED = struct.Struct("<qqB")
_MAX_US = 2**62


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One encoded frame. `pts_us` is on the host's monotonic clock."""

    ssrc: int
    codec: str
    key: bool
    pts_us: int
    duration_us: int
    data: bytes

    @property
    def kind(self) -> str:
        return _KINDS[self.codec]


@dataclass(frozen=True, slots=True)
class Missed:
    ssrc: int
    from_us: int
    to_us: int
    reason: str = "network"


@dataclass(frozen=True, slots=True)
class Event:
    body: bytes
    arrival_us: int


@dataclass(frozen=True, slots=True)
class Ended:
    arrival_us: int


Record = FrameRecord | Missed | Event | Ended


def frame_datagrams(frame: FrameRecord, now_us: int) -> Iterator[bytes]:
    """Errors: `ValueError` for a frame that is too long."""
    if len(frame.data) > MAX_FRAME_BYTES:
        raise ValueError("the frame is too long")
    head = _FRAME.pack(frame.pts_us, frame.duration_us, CODECS.index(frame.codec))
    rest = memoryview(frame.data)
    while True:
        part, rest = rest[:PART_BYTES], rest[PART_BYTES:]
        flags = (KEY if frame.key else 0) | (MORE if rest else 0)
        yield _header(FRAME, now_us, flags, frame.ssrc) + head + part
        head = b""
        if not rest:
            return


def missed_datagram(missed: Missed, now_us: int) -> bytes:
    body = _MISSED.pack(missed.from_us, missed.to_us, MISSED_REASONS.index(missed.reason))
    return _header(MISSED, now_us, 0, missed.ssrc) + body


def event_datagram(body: bytes, now_us: int) -> bytes:
    return _header(JSON, now_us) + body


def end_datagram(now_us: int) -> bytes:
    return _header(END, now_us)


def key_frame_datagram(ssrc: int, now_us: int) -> bytes:
    """From the reader: it needs a key frame of this track."""
    return _header(FEEDBACK, now_us, ssrc=ssrc)


def wanted_key_frame(datagram: bytes) -> int | None:
    """The track that a reader needs a key frame of; None for any other record."""
    if len(datagram) < _HEADER.size:
        return None
    kind, _, version, ssrc, _ = _HEADER.unpack_from(datagram)
    return ssrc if kind == FEEDBACK and version == VERSION else None


def _header(kind: int, now_us: int, flags: int = 0, ssrc: int = 0) -> bytes:
    return _HEADER.pack(kind, flags, VERSION, ssrc, now_us)


class FrameAssembler:
    """Makes records of datagrams."""

    def __init__(self) -> None:
        self._begun: tuple[int, int, int, int, bool, bytearray] | None = None

    def take(self, datagram: bytes) -> Record | None:
        """None: more is to come. Errors: `ValueError` for what is no record."""
        if len(datagram) < _HEADER.size:
            raise ValueError("shorter than a record's header")
        kind, flags, version, ssrc, arrival_us = _HEADER.unpack_from(datagram)
        body = datagram[_HEADER.size :]
        if version != VERSION:
            raise ValueError("a record of an unknown version")
        if kind == FRAME:
            return self._take_part(ssrc, flags, body)
        if self._begun is not None:
            raise ValueError("a frame has no end")
        if kind == JSON:
            return Event(body, arrival_us)
        if kind == END:
            return Ended(arrival_us)
        if kind == MISSED and len(body) == _MISSED.size:
            from_us, to_us, reason = _MISSED.unpack(body)
            if reason >= len(MISSED_REASONS):
                raise ValueError("a loss of an unknown reason")
            return Missed(ssrc, from_us, to_us, MISSED_REASONS[reason])
        raise ValueError("a record of an unknown kind")

    def _take_part(self, ssrc: int, flags: int, body: bytes) -> FrameRecord | None:
        if self._begun is None:
            if len(body) < _FRAME.size:
                raise ValueError("a frame without its head")
            pts_us, duration_us, codec = _FRAME.unpack_from(body)
            if codec >= len(CODECS) or abs(pts_us) > _MAX_US:
                raise ValueError("a frame that cannot be")
            data = bytearray(body[_FRAME.size :])
            self._begun = (ssrc, pts_us, duration_us, codec, bool(flags & KEY), data)
        else:
            if self._begun[0] != ssrc:
                raise ValueError("a frame has no end")
            self._begun[5].extend(body)
        ssrc, pts_us, duration_us, codec, key, data = self._begun
        if len(data) > MAX_FRAME_BYTES:
            raise ValueError("the frame is too long")
        if flags & MORE:
            return None
        self._begun = None
        return FrameRecord(ssrc, CODECS[codec], key, pts_us, duration_us, bytes(data))
