"""MP4 files: one that a kill leaves readable, and the finished one that plays while it loads."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.audio.stream
import av.error
import av.subtitles.codeccontext  # loaded with the first file that is read: too late once confined
import av.subtitles.stream
import av.video.stream

from sfu.egress.child.encoded import Encoded
from sfu.egress.child.plan import FPS, SAMPLE_RATE, SAMPLES_PER_TICK

_TIME_BASES = {"video": Fraction(1, FPS), "audio": Fraction(1, SAMPLE_RATE)}
_FRAGMENT_US = 1_000_000
"""What a kill may cost, and as much again that waits for the other track."""
_BEATS_EVERY = 500
_CUT_SHORT = (av.error.InvalidDataError, av.error.EOFError)
"""How a file of a killed process ends, or begins."""


class Mp4Part:
    """An `Output`: fragments while it is written, an ordinary MP4 once it is closed."""

    def __init__(self, path: Path, templates: Sequence[Any]) -> None:
        """Errors: `OSError`."""
        self._container = av.open(
            str(path),
            "w",
            format="mp4",
            container_options={
                "movflags": "hybrid_fragmented",
                "frag_duration": str(_FRAGMENT_US),
                "flush_packets": "1",
            },
        )
        self._streams = {one.type: _added(self._container, one) for one in templates}
        self._container.start_encoding()
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def write(self, packet: Encoded) -> None:
        self._container.mux(_packet(packet, self._streams[packet.kind]))

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        try:
            self._container.close()
            os.fdatasync(self._descriptor)
        finally:
            os.close(self._descriptor)


def _added(container: Any, template: Any) -> Any:  # noqa: ANN401 - of PyAV
    stream = container.add_stream_from_template(template)
    stream.time_base = _TIME_BASES[template.type]
    return stream


def _packet(encoded: Encoded, stream: Any) -> Any:  # noqa: ANN401 - of PyAV
    packet: Any = av.Packet(encoded.data)
    packet.pts = packet.dts = encoded.at
    packet.duration = encoded.duration
    packet.time_base, packet.stream = _TIME_BASES[encoded.kind], stream
    packet.is_keyframe = encoded.key or encoded.kind == "audio"
    return packet


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of each kind is in a part: images and samples; None for a kind it does not
    have."""

    ticks: int | None
    samples: int | None

    @property
    def whole_ticks(self) -> int:
        """For how long it has all that it should."""
        of_audio = None if self.samples is None else self.samples // SAMPLES_PER_TICK
        return min((one for one in (self.ticks, of_audio) if one is not None), default=0)


def extent_of(path: Path, on_progress: Callable[[], None] = lambda: None) -> Extent:
    """What can be read of a part, also of one whose process was killed; nothing of what is no
    part. Errors: `OSError`."""
    ends: dict[str, int] = {}
    try:
        with av.open(str(path)) as container:
            ends = {stream.type: 0 for stream in container.streams}
            for count, packet in enumerate(container.demux()):
                if packet.size and packet.pts is not None:
                    ends[packet.stream.type] = _end_of(packet)
                if count % _BEATS_EVERY == 0:
                    on_progress()
    except _CUT_SHORT:
        pass  # up to where it can be read; what the disk fails at is no end of the media
    return Extent(ends.get("video"), ends.get("audio"))


def _end_of(packet: Any) -> int:  # noqa: ANN401 - of PyAV
    end: int = packet.pts + (packet.duration or 0)
    return _in_units(end, packet.time_base, packet.stream.type)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part and where it begins in the file, in images from its beginning. What it has beyond
    `ticks` is left out."""

    path: Path
    at: int
    ticks: int


def join(
    target: Path, pieces: Sequence[Piece], on_progress: Callable[[], None] = lambda: None
) -> None:
    """Writes the parts as one file without encoding again, its index in front.

    The parts were encoded with the same parameters. Errors: `OSError`."""
    with av.open(
        str(target), "w", format="mp4", container_options={"movflags": "faststart"}
    ) as output:
        streams: dict[str, Any] = {}
        for piece in pieces:
            _append(output, streams, piece, on_progress)
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _append(
    output: Any,  # noqa: ANN401 - of PyAV
    streams: dict[str, Any],
    piece: Piece,
    on_progress: Callable[[], None],
) -> None:
    limits = {"video": piece.ticks, "audio": piece.ticks * SAMPLES_PER_TICK}
    starts = {"video": piece.at, "audio": piece.at * SAMPLES_PER_TICK}
    with av.open(str(piece.path)) as source:
        for template in source.streams:
            if not streams.get(template.type):
                streams[template.type] = _added(output, template)
        count = 0
        with suppress(*_CUT_SHORT):
            for packet in source.demux():
                kind = packet.stream.type
                at = None if packet.pts is None else _in_units(packet.pts, packet.time_base, kind)
                if not packet.size or at is None or not 0 <= at < limits[kind]:
                    continue
                moved = Encoded(kind, bytes(packet), at + starts[kind], 0, packet.is_keyframe)
                moved = _lasting(moved, limits[kind] + starts[kind])
                output.mux(_packet(moved, streams[kind]))
                count += 1
                if count % _BEATS_EVERY == 0:
                    on_progress()


def _in_units(pts: int, time_base: Fraction, kind: str) -> int:
    return round(pts * time_base / _TIME_BASES[kind])


def _lasting(packet: Encoded, end: int) -> Encoded:
    """The last packet of audio is as long as the part, so that the next one begins at its time."""
    whole = 1 if packet.kind == "video" else 1_024
    duration = min(whole, end - packet.at)
    return Encoded(packet.kind, packet.data, packet.at, duration, packet.key)
