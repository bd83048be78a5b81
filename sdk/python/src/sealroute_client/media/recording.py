"""Writes encoded frames into a container as they are: nothing is decoded or encoded.

A thread of its own owns the file, so that slow disks never hold up the event loop.
"""

import fractions
import io
import queue
import struct
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av

from sealroute_client.e2ee.bitstream import NAL_IDR, NAL_PPS, NAL_SPS, split_annexb
from sealroute_client.errors import SealrouteError
from sealroute_client.media import layered
from sealroute_client.media.inbound import SenderReport

CLOCK_HZ: Final = {"audio": 48_000, "video": 90_000}
ALIGN_WAIT_S: Final = 2.5
"""Sender reports come every 0.5 to 1.5 s; without them arrival times align the tracks."""
_VP8_START: Final = b"\x9d\x01\x2a"
_VP8_HEADER_BYTES: Final = 10
_IVF: Final = {"vp8": b"VP80", "vp9": b"VP90", "av1": b"AV01"}
TIME_BASE: Final = fractions.Fraction(1, 1000)


class RecordingError(SealrouteError):
    """The folder for recordings cannot be written to."""

    code = "recording_failed"
    name = "RecordingError"


def make_folder(folder: Path) -> None:
    """Errors: RecordingError when no file can be written there; it says why."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise RecordingError(f"The folder for recordings cannot be written to: {why}") from None


@dataclass(frozen=True, slots=True)
class Sample:
    """One encoded frame as it arrived; `report` is the newest of its track."""

    kind: str
    codec: str
    data: bytes
    timestamp: int
    arrived_s: float
    report: SenderReport | None


@dataclass(slots=True)
class RecordingCounts:
    frames: dict[str, int] = field(default_factory=lambda: {"audio": 0, "video": 0})
    bytes: int = 0


def is_key_frame(codec: str, data: bytes) -> bool:
    """VP8 that lost its first packet is none, whatever it looks like: the start code (RFC 6386
    section 9.1) is missing then."""
    if codec in layered.CODECS:
        return layered.is_key_frame(codec, data)
    if codec == "vp8":
        return len(data) >= _VP8_HEADER_BYTES and not data[0] & 1 and data[3:6] == _VP8_START
    return NAL_IDR in _nal_kinds(data)


def can_begin(codec: str, data: bytes) -> bool:
    """Whether a file can begin with this frame: for H.264 it has the parameter sets with it."""
    if codec == "h264":
        return _nal_kinds(data) >= {NAL_SPS, NAL_PPS, NAL_IDR}
    return is_key_frame(codec, data)


def _nal_kinds(data: bytes) -> set[int]:
    return {nal[0] & 0x1F for nal in split_annexb(data)}


def _video_template(codec: str, key_frame: bytes) -> Any:
    """A container in memory that holds the key frame: the library reads the parameters."""
    if codec in _IVF:
        width = height = 0  # others say it further in, where the library looks
        if codec == "vp8":
            width, height = (
                int.from_bytes(key_frame[at : at + 2], "little") & 0x3FFF for at in (6, 8)
            )
        name = _IVF[codec]
        header = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, name, width, height, 30, 1, 1, 0)
        body = struct.pack("<IQ", len(key_frame), 0) + key_frame
        return av.open(io.BytesIO(header + body), format="ivf")
    return av.open(io.BytesIO(key_frame), format="h264")


class _Timeline:
    """Places the samples of all tracks on one clock (seconds)."""

    def __init__(self) -> None:
        self._offset_s: dict[str, float] = {}

    def settle(self, samples: list[Sample], kinds: frozenset[str]) -> None:
        """Chosen once: later corrections would make recorded time jump."""
        reports = {s.kind: s.report for s in samples if s.report is not None}
        first: dict[str, Sample] = {}
        for sample in samples:
            first.setdefault(sample.kind, sample)
        for kind, sample in first.items():
            report = reports.get(kind)
            clock_hz = CLOCK_HZ[kind]
            if report is not None and kinds <= set(reports):
                self._offset_s[kind] = report.ntp_s - report.timestamp / clock_hz
            else:
                self._offset_s[kind] = sample.arrived_s - sample.timestamp / clock_hz

    def at_s(self, sample: Sample) -> float:
        own_s = sample.timestamp / CLOCK_HZ[sample.kind]
        offset_s = self._offset_s.setdefault(sample.kind, sample.arrived_s - own_s)
        return offset_s + own_s


class Recording:
    """One Stream's recording. `kinds` are the tracks to expect; video starts at a key frame."""

    def __init__(self, path: Path, kinds: frozenset[str]) -> None:
        self.path = path
        self.counts = RecordingCounts()
        self.error: str | None = None
        self.needs_key_frame = "video" in kinds
        """Until one has come there is nothing to begin with. Owner: who calls `put`."""
        self._kinds = kinds
        self._inbox: queue.SimpleQueue[Sample | None] = queue.SimpleQueue()
        self._waiting: list[Sample] = []
        self._timeline = _Timeline()
        self._container: Any = None
        self._templates: list[Any] = []
        self._streams: dict[str, Any] = {}
        self._start_s = 0.0
        self._last_ms: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    def put(self, sample: Sample) -> None:
        if self.error is not None:
            # Nobody reads the inbox any more.
            return
        if sample.kind == "video" and self.needs_key_frame:
            self.needs_key_frame = not can_begin(sample.codec, sample.data)
        self._inbox.put(sample)

    def close(self) -> None:
        """Finishes the file; blocks until it is written. Call it in an executor."""
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (sample := self._inbox.get()) is not None:
                self._take(sample)
            if self._container is None:
                self._begin()
        except (av.FFmpegError, OSError, ValueError) as error:
            self.error = type(error).__name__
        finally:
            self._finish()

    def _finish(self) -> None:
        closers: list[Callable[[], None]] = [template.close for template in self._templates]
        if self._container is not None:
            closers.insert(0, self._container.close)
        for close in closers:
            try:
                close()
            except (av.FFmpegError, OSError, ValueError) as error:
                self.error = type(error).__name__

    def _take(self, sample: Sample) -> None:
        if self._container is not None:
            self._write(sample)
            return
        has_key = any(s.kind == "video" for s in self._waiting)
        if sample.kind == "video" and not has_key and not can_begin(sample.codec, sample.data):
            return
        self._waiting.append(sample)
        if self._may_begin(sample.arrived_s):
            self._begin()

    def _may_begin(self, now_s: float) -> bool:
        kinds = {s.kind for s in self._waiting}
        if "video" in self._kinds and "video" not in kinds:
            # Audio alone is kept only as long as it may still align with a coming key frame.
            self._waiting = [s for s in self._waiting if s.arrived_s > now_s - ALIGN_WAIT_S]
            return False
        reported = {s.kind for s in self._waiting if s.report is not None}
        return (kinds >= self._kinds and reported >= self._kinds) or (
            now_s - self._waiting[0].arrived_s > ALIGN_WAIT_S
        )

    def _begin(self) -> None:
        if not self._waiting:
            return
        self._timeline.settle(self._waiting, self._kinds)
        video = next((s for s in self._waiting if s.kind == "video"), None)
        audio = next((s for s in self._waiting if s.kind == "audio"), None)
        is_webm = self.path.suffix == ".webm" and (video is None or video.codec != "h264")
        name = "webm" if is_webm else "matroska"
        self._container = av.open(str(self.path), "w", format=name)
        if video is not None:
            template = _video_template(video.codec, video.data)
            self._templates.append(template)
            source = template.streams.video[0]
            self._streams["video"] = self._container.add_stream_from_template(
                source,
                opaque=True,  # nothing is encoded
            )
        if audio is not None or "audio" in self._kinds:
            self._streams["audio"] = self._container.add_stream(
                "libopus", rate=48_000, layout="stereo"
            )
        first = video or audio
        self._start_s = self._timeline.at_s(first) if first is not None else 0.0
        self._container.start_encoding()
        waiting, self._waiting = self._waiting, []
        for sample in sorted(waiting, key=self._timeline.at_s):
            self._write(sample)

    def _write(self, sample: Sample) -> None:
        stream = self._streams.get(sample.kind)
        at_ms = round((self._timeline.at_s(sample) - self._start_s) * 1000)
        if stream is None or at_ms < 0:
            return
        at_ms = max(at_ms, self._last_ms.get(sample.kind, -1) + 1)
        self._last_ms[sample.kind] = at_ms
        packet = av.Packet(sample.data)
        packet.pts = packet.dts = at_ms
        packet.time_base = TIME_BASE
        packet.stream = stream
        packet.is_keyframe = sample.kind == "audio" or is_key_frame(sample.codec, sample.data)
        if sample.kind == "audio":
            packet.duration = 20
        self._container.mux(packet)
        self.counts.frames[sample.kind] += 1
        self.counts.bytes += len(sample.data)
