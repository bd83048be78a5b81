"""Fragmented MP4 (ISO/IEC 14496-12, CMAF) as bytes; pure.

FFmpeg's muxer cuts a fragment at the next packet of any track and has no call that ends one, so its
parts are not those that the playlist promised. Here a part is what it is given.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sfu.egress.child.tracks import AudioTrack, Packet, Tracks, VideoTrack, with_lengths

VIDEO_TRACK, AUDIO_TRACK = 1, 2
TRACKS: Mapping[str, int] = {"video": VIDEO_TRACK, "audio": AUDIO_TRACK}
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UNDETERMINED = 0x55C4
"""The language "und" in three times five bits."""
_DEFAULT_BASE_IS_MOOF = 0x020000
_RUN_FLAGS = 0x000001 | 0x000100 | 0x000200 | 0x000400
"""Where the data begins; of each sample its duration, size and flags."""
_ROW = struct.Struct(">III")
_KEY, _NOT_KEY = 0x02000000, 0x01010000
_MAX_DESCRIPTOR = 0x7F
_BOX_BYTES = 8


def header(tracks: Tracks) -> bytes:
    """The initialization section: `ftyp` and `moov`."""
    brands = b"iso6" + struct.pack(">I", 0) + b"iso6cmfcmp41"
    boxes, extends = b"", b""
    if tracks.video is not None:
        boxes += _track(VIDEO_TRACK, tracks.video)
        extends += _extends(VIDEO_TRACK)
    if tracks.audio is not None:
        boxes += _track(AUDIO_TRACK, tracks.audio)
        extends += _extends(AUDIO_TRACK)
    movie = struct.pack(">4I", 0, 0, 1_000, 0) + struct.pack(">IH10x", 0x10000, 0x0100)
    movie = _full(b"mvhd", movie + _MATRIX + bytes(24) + struct.pack(">I", AUDIO_TRACK + 1))
    return _box(b"ftyp", brands) + _box(b"moov", movie + boxes + _box(b"mvex", extends))


@dataclass(frozen=True, slots=True)
class Sample:
    """One packet in the form in which files have it."""

    at: int
    duration: int
    key: bool
    data: bytes


def fragment(number: int, packets: Sequence[Packet]) -> bytes:
    """`moof` and `mdat` of a part; `number` counts them from 1. Its tracks are one behind the
    other, each in the order of its packets."""
    runs = [
        (TRACKS[kind], own)
        for kind in TRACKS
        if (own := [_sample(one) for one in packets if one.kind == kind])
    ]
    # The offsets of the data do not change the size of what is in front of it.
    size = len(_moof(number, runs, 0))
    data = b"".join(one.data for _, own in runs for one in own)
    return _moof(number, runs, size + _BOX_BYTES) + _box(b"mdat", data)


def _sample(packet: Packet) -> Sample:
    data = with_lengths(packet.data) if packet.kind == "video" else packet.data
    return Sample(packet.at, packet.duration, packet.key, data)


@dataclass(frozen=True, slots=True)
class Run:
    """What a fragment says of one track: the duration of all samples, and how the first is."""

    track: int
    decode_time: int
    duration: int
    samples: int
    begins_with_key: bool


def runs_of(part: bytes) -> tuple[Run, ...]:
    """The `trun`s of a part, for the durations that a playlist names. Errors: `ValueError`."""
    found: list[Run] = []
    for kind, body in _boxes(part):
        if kind == b"moof":
            found += [_run_of(traf) for name, traf in _boxes(body) if name == b"traf"]
    return tuple(found)


# --- reading ---------------------------------------------------------------------------------


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        if len(data) - at < _BOX_BYTES:
            raise ValueError("a box is cut off")
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < _BOX_BYTES or at + size > len(data):
            raise ValueError("the size of a box is not possible")
        yield kind, data[at + _BOX_BYTES : at + size]
        at += size


def _run_of(traf: bytes) -> Run:
    own = dict(_boxes(traf))
    try:
        (track,) = struct.unpack_from(">I", own[b"tfhd"], 4)
        (decode_time,) = struct.unpack_from(">Q", own[b"tfdt"], 4)
        flags, count = struct.unpack_from(">II", own[b"trun"])
        if flags & 0xFFFFFF != _RUN_FLAGS:
            raise ValueError("the run is not one of ours")
        rows = [_ROW.unpack_from(own[b"trun"], 12 + _ROW.size * n) for n in range(count)]
    except (KeyError, struct.error) as cause:
        raise ValueError("the fragment is not complete") from cause
    return Run(track, decode_time, sum(row[0] for row in rows), count, rows[0][2] == _KEY)


# --- writing ---------------------------------------------------------------------------------


def _moof(number: int, runs: Sequence[tuple[int, Sequence[Sample]]], data_at: int) -> bytes:
    body = _full(b"mfhd", struct.pack(">I", number))
    for track, samples in runs:
        body += _traf(track, samples, data_at)
        data_at += sum(len(one.data) for one in samples)
    return _box(b"moof", body)


def _traf(track: int, samples: Sequence[Sample], data_at: int) -> bytes:
    rows = b"".join(
        _ROW.pack(one.duration, len(one.data), _KEY if one.key else _NOT_KEY) for one in samples
    )
    return _box(
        b"traf",
        _full(b"tfhd", struct.pack(">I", track), flags=_DEFAULT_BASE_IS_MOOF)
        + _full(b"tfdt", struct.pack(">Q", samples[0].at), version=1)
        + _full(
            b"trun",
            struct.pack(">Ii", len(samples), data_at) + rows,
            flags=_RUN_FLAGS,
        ),
    )


def _track(number: int, track: VideoTrack | AudioTrack) -> bytes:
    is_video = isinstance(track, VideoTrack)
    size = (track.width << 16, track.height << 16) if isinstance(track, VideoTrack) else (0, 0)
    head = struct.pack(">5I8x", 0, 0, number, 0, 0)
    head += struct.pack(">HHHH", 0, 0, 0 if is_video else 0x0100, 0) + _MATRIX
    handler = struct.pack(">I4s12x", 0, b"vide" if is_video else b"soun") + b"\x00"
    media_head = _full(b"vmhd", bytes(8), flags=1) if is_video else _full(b"smhd", bytes(4))
    place = _box(b"dinf", _full(b"dref", struct.pack(">I", 1) + _full(b"url ", b"", flags=1)))
    media = _full(b"mdhd", struct.pack(">4IHH", 0, 0, track.hz, 0, _UNDETERMINED, 0))
    media += _full(b"hdlr", handler) + _box(b"minf", media_head + place + _samples(track))
    return _box(
        b"trak", _full(b"tkhd", head + struct.pack(">II", *size), flags=3) + _box(b"mdia", media)
    )


def _samples(track: VideoTrack | AudioTrack) -> bytes:
    """The table of samples, which has none: they are in the fragments."""
    entry = _video_entry(track) if isinstance(track, VideoTrack) else _audio_entry(track)
    described = _full(b"stsd", struct.pack(">I", 1) + entry)
    empty = _full(b"stts", bytes(4)) + _full(b"stsc", bytes(4))
    return _box(b"stbl", described + empty + _full(b"stsz", bytes(8)) + _full(b"stco", bytes(4)))


def _video_entry(video: VideoTrack) -> bytes:
    body = struct.pack(">6xH16x", 1) + struct.pack(">HH", video.width, video.height)
    body += struct.pack(">III", 0x480000, 0x480000, 0) + struct.pack(">H32xHh", 1, 24, -1)
    return _box(b"avc1", body + _box(b"avcC", video.record))


def _audio_entry(audio: AudioTrack) -> bytes:
    body = struct.pack(">6xH8x", 1) + struct.pack(">HHI", audio.channels, 16, 0)
    body += struct.pack(">I", audio.hz << 16)
    stream = struct.pack(">BB3xII", 0x40, 0x15, audio.bitrate_bps, audio.bitrate_bps)  # AAC, audio
    stream += _descriptor(5, audio.config)
    elementary = struct.pack(">HB", AUDIO_TRACK, 0) + _descriptor(4, stream)
    elementary += _descriptor(6, b"\x02")
    return _box(b"mp4a", body + _full(b"esds", _descriptor(3, elementary)))


def _descriptor(tag: int, body: bytes) -> bytes:
    if len(body) > _MAX_DESCRIPTOR:
        raise ValueError("the parameters of the audio are too long")
    return bytes([tag, len(body)]) + body


def _extends(track: int) -> bytes:
    return _full(b"trex", struct.pack(">5I", track, 1, 0, 0, 0))


def _full(kind: bytes, body: bytes, *, version: int = 0, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags) + body)


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", _BOX_BYTES + len(body), kind) + body
