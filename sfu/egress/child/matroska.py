"""Matroska and WebM as bytes; pure.

A file can be read at any time up to its last complete cluster, and is completed in place: places
for its duration and its table of contents are kept free at the beginning.

FFmpeg's muxer is not used, because it holds back the packets of a track, without a bound, while a
track of VP8 or VP9 beside it is silent, and a muted camera is silent for hours.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

TICK_US = 1_000
"""The unit of all times in the file."""
SEEK_BYTES = 192
_DURATION_BYTES = 11
_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
_EBML, _SEGMENT, _SEEK_HEAD, _VOID = 0x1A45DFA3, 0x18538067, 0x114D9B74, 0xEC
_INFO, _TRACKS, _CLUSTER, _CUES = 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B
_CLUSTER_TIME, _SIMPLE_BLOCK = 0xE7, 0xA3
_KEY = 0x80
_APPLICATION = b"sealroute"
KINDS = {"opus": "audio", "vp8": "video", "vp9": "video", "av1": "video", "h264": "video"}
"""The codecs that a file can hold."""
_CODEC_IDS = {
    "opus": b"A_OPUS",
    "vp8": b"V_VP8",
    "vp9": b"V_VP9",
    "av1": b"V_AV1",
    "h264": b"V_MPEG4/ISO/AVC",
}
_OPUS_HEAD = b"OpusHead" + struct.pack("<BBHIhB", 1, 2, 0, 48_000, 0, 0)
"""Two channels, as RTP has it, and no samples to skip."""
_SEEK_PREROLL_NS = 80_000_000
INDEXED = 1
"""The number of the track that the index is for."""
MIN_RELATIVE, MAX_RELATIVE = -0x8000, 0x7FFF


@dataclass(frozen=True, slots=True)
class TrackFormat:
    """`private`: what decoders need before the first frame (avcC, av1C)."""

    kind: str
    codec: str
    width: int = 0
    height: int = 0
    private: bytes = b""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in the file the places are that are filled at the end."""

    segment_size_at: int
    segment_at: int  # the first byte of its content; positions count from here
    seek_at: int
    info_at: int
    duration_at: int
    tracks_at: int


@dataclass(frozen=True, slots=True)
class Cue:
    """Where a reader finds the first track's frame of a time."""

    ticks: int
    position: int  # of its cluster, from the beginning of the segment's content


def element(name: int, content: bytes) -> bytes:
    """Its length is in eight bytes: elements can be skipped and filled without moving others."""
    head = name.to_bytes((name.bit_length() + 7) // 8)
    return head + (0x0100_0000_0000_0000 | len(content)).to_bytes(8) + content


def number(name: int, value: int) -> bytes:
    return element(name, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))


def void(size: int) -> bytes:
    """`size` bytes that a reader skips; at least 9."""
    return element(_VOID, bytes(size - 9))


def header(tracks: Sequence[TrackFormat], *, webm: bool) -> tuple[bytes, Layout]:
    """The beginning of a file. Tracks have the numbers 1, 2 in this order."""
    document = b"webm" if webm else b"matroska"
    start = element(
        _EBML,
        number(0x4286, 1)
        + number(0x42F7, 1)
        + number(0x42F2, 4)
        + number(0x42F3, 8)
        + element(0x4282, document)
        + number(0x4287, 4)
        + number(0x4285, 2),
    )
    start += _SEGMENT.to_bytes(4)
    segment_size_at = len(start)
    start += _UNKNOWN_SIZE
    segment_at = seek_at = len(start)
    start += void(SEEK_BYTES)
    info_at = len(start)
    fixed = (
        number(0x2AD7B1, TICK_US * 1_000)
        + element(0x4D80, _APPLICATION)
        + element(0x5741, _APPLICATION)
    )
    # The place of the duration comes last in the element.
    start += element(_INFO, fixed + void(_DURATION_BYTES))
    duration_at = len(start) - _DURATION_BYTES
    tracks_at = len(start)
    entries = b"".join(_track(at, track) for at, track in enumerate(tracks, 1))
    start += element(_TRACKS, entries)
    return start, Layout(segment_size_at, segment_at, seek_at, info_at, duration_at, tracks_at)


def _track(at: int, track: TrackFormat) -> bytes:
    is_audio = track.kind == "audio"
    described = number(0xD7, at) + number(0x73C5, at) + number(0x9C, 0)
    described += element(0x22B59C, b"und")
    described += element(0x86, _CODEC_IDS[track.codec]) + number(0x83, 2 if is_audio else 1)
    private = _OPUS_HEAD if track.codec == "opus" else track.private
    if private:
        described += element(0x63A2, private)
    if is_audio:
        described += number(0x56BB, _SEEK_PREROLL_NS)
        described += element(0xE1, element(0xB5, struct.pack(">d", 48_000.0)) + number(0x9F, 2))
    else:
        described += element(0xE0, number(0xB0, track.width) + number(0xBA, track.height))
    return element(0xAE, described)


@dataclass(slots=True)
class Cluster:
    """Frames of about a second; nothing of them is in the file before all are."""

    ticks: int
    body: bytearray = field(default_factory=bytearray)
    indexed_ticks: int | None = None
    """The first key frame of the indexed track."""

    def takes(self, ticks: int) -> bool:
        return MIN_RELATIVE <= ticks - self.ticks <= MAX_RELATIVE

    def add(self, track: int, ticks: int, data: bytes, *, key: bool) -> None:
        head = struct.pack(">BhB", 0x80 | track, ticks - self.ticks, _KEY if key else 0)
        size = 0x1000_0000 | len(head) + len(data)
        self.body += bytes([_SIMPLE_BLOCK]) + size.to_bytes(4) + head
        self.body += data
        if key and track == INDEXED and self.indexed_ticks is None:
            self.indexed_ticks = ticks

    def encoded(self) -> bytes:
        return element(_CLUSTER, number(_CLUSTER_TIME, self.ticks) + bytes(self.body))


MAX_FRAME_BYTES = 0x0FFF_0000
"""What the length of a block can say."""


def cues(points: Sequence[Cue]) -> bytes:
    """The index, to be appended after the last cluster."""
    return element(
        _CUES,
        b"".join(
            element(
                0xBB,
                number(0xB3, point.ticks)
                + element(0xB7, number(0xF7, INDEXED) + number(0xF1, point.position)),
            )
            for point in points
        ),
    )


def completions(
    layout: Layout, *, cues_at: int, end: int, duration_ticks: int
) -> list[tuple[int, bytes]]:
    """What is written over the free places, in this order; after each the file can be read."""
    duration = b"\x44\x89\x88" + struct.pack(">d", float(duration_ticks))
    entries = b"".join(
        element(0x4DBB, element(0x53AB, name.to_bytes(4)) + number(0x53AC, at - layout.segment_at))
        for name, at in ((_INFO, layout.info_at), (_TRACKS, layout.tracks_at), (_CUES, cues_at))
    )
    seek_head = element(_SEEK_HEAD, entries)
    seek_head += void(SEEK_BYTES - len(seek_head))
    size = (0x0100_0000_0000_0000 | end - layout.segment_at).to_bytes(8)
    return [
        (layout.duration_at, duration),
        (layout.seek_at, seek_head),
        (layout.segment_size_at, size),
    ]


# --- reading what a killed process left ------------------------------------------------------


@dataclass(slots=True)
class Scanned:
    """What of a file is complete. `last_ticks`: the time after the last frame."""

    layout: Layout
    end: int = 0
    last_ticks: int | None = None
    points: list[Cue] = field(default_factory=list)


class NotOursError(ValueError):
    """The bytes are not the beginning of a file of this module."""


def scan_header(start: bytes) -> Scanned:
    """`start`: the first bytes of the file, up to its first cluster or beyond."""
    at = start.find(_SEGMENT.to_bytes(4))
    if at < 0 or not start.startswith(_EBML.to_bytes(4)):
        raise NotOursError
    segment_size_at = at + 4
    at = segment_at = seek_at = segment_size_at + 8
    places = {}
    for name, size, content_at in elements(start, at):
        places[name] = content_at - 12  # the names of both have four bytes
        at = content_at + size
        if name == _TRACKS:
            break
    if _INFO not in places or _TRACKS not in places or at > len(start):
        raise NotOursError
    duration_at = places[_TRACKS] - _DURATION_BYTES
    layout = Layout(
        segment_size_at, segment_at, seek_at, places[_INFO], duration_at, places[_TRACKS]
    )
    return Scanned(layout, end=at)


def scan_cluster(scanned: Scanned, head: bytes, content: bytes) -> bool:
    """Takes the next cluster in; False where it is none or is cut off. `head`: the 12 bytes in
    front of its content."""
    if head[:4] != _CLUSTER.to_bytes(4) or len(head) < 12 or size_of(head) != len(content):
        return False
    ticks, indexed, last = 0, None, dict[int, int]()
    for name, size, at in elements(content, 0):
        if name == _CLUSTER_TIME:
            ticks = int.from_bytes(content[at : at + size])
        elif name == _SIMPLE_BLOCK and size >= 4:
            track, relative, flags = struct.unpack_from(">BhB", content, at)
            time, track = ticks + relative, track & 0x7F
            step = min(max(time - last.get(track, time), 0), 100)
            last[track] = time
            scanned.last_ticks = max(scanned.last_ticks or 0, time + step)
            if flags & _KEY and track == INDEXED and indexed is None:
                indexed = time
    if indexed is not None:
        scanned.points.append(Cue(indexed, scanned.end - scanned.layout.segment_at))
    scanned.end += len(head) + len(content)
    return True


def size_of(head: bytes) -> int:
    """The length of a cluster's content."""
    return int.from_bytes(head[4:12]) & 0x00FF_FFFF_FFFF_FFFF


def elements(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Name, length and place of the content of each element that is complete."""
    while at < len(data):
        name, at = _variable(data, at, keep_marker=True)
        size, at = _variable(data, at, keep_marker=False)
        if name is None or size is None or at + size > len(data):
            return
        yield name, size, at
        at += size


def _variable(data: bytes, at: int, *, keep_marker: bool) -> tuple[int | None, int]:
    if at >= len(data) or not data[at]:
        return None, at
    length = 9 - data[at].bit_length()
    if at + length > len(data):
        return None, at
    value = int.from_bytes(data[at : at + length])
    if not keep_marker:
        value &= (1 << 7 * length) - 1
    return value, at + length
