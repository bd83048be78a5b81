"""What a Publisher sends: a media file, a generated test pattern, or a capture device."""

import asyncio
import concurrent.futures
import contextlib
import fractions
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.audio.resampler import AudioResampler

from sealroute_client.errors import InvalidParameter, MediaSourceError

SAMPLE_RATE: Final = 48_000
SAMPLES_PER_FRAME: Final = 960
AUDIO_TIME_BASE: Final = fractions.Fraction(1, SAMPLE_RATE)
VIDEO_TIME_BASE: Final = fractions.Fraction(1, 90_000)
COUNTER_BITS: Final = 16
COUNTER_BLOCK_PX: Final = 16
"""Large enough to survive compression at any sensible rate."""
TONE_HZ: Final = 440
_BUFFERED: Final = {"audio": 100, "video": 12}
"""Frames read ahead: two seconds of audio; few video frames, because they are large."""
_DEVICE_FORMATS: Final = {"/dev/video": "v4l2", "hw:": "alsa", "default": "alsa"}


@dataclass(slots=True)
class Playout:
    """One clock for the tracks of a source, so that audio and video stay together."""

    started_s: float | None = None

    async def wait_for(self, time_s: float) -> None:
        now_s = asyncio.get_running_loop().time()
        if self.started_s is None:
            self.started_s = now_s - time_s
        delay_s = self.started_s + time_s - now_s
        if delay_s > 0:
            await asyncio.sleep(delay_s)


class SourceTrack(MediaStreamTrack):
    """Frames in their own time. `ended` is set after the last one."""

    def __init__(self, kind: str, playout: Playout) -> None:
        super().__init__()
        self.kind = kind
        self._playout = playout
        self.frames: asyncio.Queue[Any] = asyncio.Queue(_BUFFERED[kind])
        self.ended = asyncio.Event()

    async def recv(self) -> Any:
        if self.readyState != "live":
            raise MediaStreamError
        frame = await self.frames.get()
        if frame is None:
            self.stop()
            raise MediaStreamError
        await self._playout.wait_for(frame.time)
        return frame

    def stop(self) -> None:
        super().stop()
        self.ended.set()


@dataclass(slots=True)
class Source:
    """`width`, `height` and `frame_rate` are None without video."""

    audio: MediaStreamTrack | None
    video: MediaStreamTrack | None
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    close: Callable[[], None] = field(default=lambda: None)

    async def ended(self) -> None:
        """Returns when all own tracks have ended; never for foreign tracks."""
        tracks = [t for t in (self.audio, self.video) if t is not None]
        if not all(isinstance(track, SourceTrack) for track in tracks):
            await asyncio.Event().wait()
        for track in tracks:
            if isinstance(track, SourceTrack):
                await track.ended.wait()


# --- files and devices ---------------------------------------------------------------------


class _Reader:
    """Decodes in a thread of its own, as far ahead as the tracks' queues allow."""

    def __init__(self, path: str, *, loop_forever: bool, is_device: bool) -> None:
        self._path = path
        self._loop_forever = loop_forever
        self._format = _device_format(path) if is_device else None
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._tracks: dict[str, SourceTrack] = {}
        self._offset_s = 0.0
        self._samples = 0
        self._resampler: AudioResampler | None = None

    def start(self, tracks: dict[str, SourceTrack]) -> None:
        self._tracks = tracks
        self._thread = threading.Thread(target=self._run, name="media-reader", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Does not wait: the thread sees it within one frame."""
        self._stopping.set()

    def _run(self) -> None:
        try:
            with contextlib.suppress(av.FFmpegError, OSError):
                self._play()
        finally:
            for track in self._tracks.values():
                self._put(track, None)

    def _play(self) -> None:
        while not self._stopping.is_set():
            with av.open(self._path, format=self._format) as container:
                end_s = self._play_once(container)
            if not self._loop_forever or end_s <= self._offset_s:
                return
            self._offset_s = end_s

    def _play_once(self, container: Any) -> float:
        streams = [s for s in (container.streams.best(kind) for kind in self._tracks) if s]
        origin_s: float | None = None
        end_s = self._offset_s
        self._samples = round(self._offset_s * SAMPLE_RATE)
        self._resampler = AudioResampler("s16", "stereo", SAMPLE_RATE, SAMPLES_PER_FRAME)
        for frame in container.decode(streams):
            if self._stopping.is_set():
                return end_s
            if frame.time is None:
                continue
            origin_s = frame.time if origin_s is None else origin_s
            at_s = self._offset_s + max(0.0, frame.time - origin_s)
            end_s = max(end_s, at_s + _duration_s(frame))
            if isinstance(frame, av.VideoFrame):
                self._put_video(frame, at_s)
            else:
                self._put_audio(frame)
        return max(end_s, self._samples / SAMPLE_RATE)

    def _put_video(self, frame: Any, at_s: float) -> None:
        if frame.format.name != "yuv420p" or frame.width % 2 or frame.height % 2:
            frame = frame.reformat(frame.width & ~1, frame.height & ~1, "yuv420p")
        frame.time_base = VIDEO_TIME_BASE
        frame.pts = round(at_s / VIDEO_TIME_BASE)
        # The file's own frame types must not steer the encoder.
        frame.pict_type = av.video.frame.PictureType.NONE
        self._put(self._tracks["video"], frame)

    def _put_audio(self, frame: Any) -> None:
        if self._resampler is None:
            return
        frame.pts = None
        for part in self._resampler.resample(frame):
            part.time_base = AUDIO_TIME_BASE
            part.pts = self._samples
            self._samples += part.samples
            self._put(self._tracks["audio"], part)

    def _put(self, track: SourceTrack, frame: Any) -> None:
        if self._loop.is_closed() or track.readyState != "live":
            return
        pending = track.frames.put(frame)
        try:
            future = asyncio.run_coroutine_threadsafe(pending, self._loop)
        except RuntimeError:
            pending.close()
            return
        while not self._stopping.is_set() and track.readyState == "live":
            try:
                future.result(timeout=0.2)
            except concurrent.futures.TimeoutError:
                continue
            except concurrent.futures.CancelledError:
                pass
            return
        future.cancel()


def _duration_s(frame: Any) -> float:
    if isinstance(frame, av.AudioFrame):
        return frame.samples / frame.sample_rate
    return float(frame.duration * frame.time_base) if frame.duration else 1 / 30


def _device_format(path: str) -> str:
    for prefix, name in _DEVICE_FORMATS.items():
        if path.startswith(prefix):
            return name
    raise MediaSourceError(
        "This device cannot be captured: video4linux (/dev/video0) and ALSA (hw:0, default) can"
    )


def is_device_name(media: str | Path) -> bool:
    """Whether this names a capture device, and no file."""
    return str(media).startswith(tuple(_DEVICE_FORMATS)) and not Path(media).is_file()


@dataclass(frozen=True, slots=True)
class _Probe:
    has_audio: bool
    has_video: bool
    width: int | None
    height: int | None
    frame_rate: float | None


def _probe(path: str, format_name: str | None) -> _Probe:
    try:
        with av.open(path, format=format_name) as container:
            video = container.streams.best("video")
            rate = getattr(video, "average_rate", None)
            return _Probe(
                container.streams.best("audio") is not None,
                video is not None,
                video.width & ~1 if video else None,  # type: ignore[attr-defined]
                video.height & ~1 if video else None,  # type: ignore[attr-defined]
                float(rate) if rate else None,
            )
    except FileNotFoundError:
        raise MediaSourceError("The media file does not exist") from None
    except PermissionError:
        raise MediaSourceError("The media file may not be read by this user") from None
    except IsADirectoryError:
        raise MediaSourceError("The media is a folder, not a file") from None
    except (av.FFmpegError, OSError) as error:
        raise MediaSourceError(
            f"The file holds no media that can be read ({type(error).__name__})"
        ) from None


async def open_media(
    path: str | Path,
    *,
    audio: bool = True,
    video: bool = True,
    loop_forever: bool = False,
    is_device: bool = False,
) -> Source:
    """A file or a capture device. Errors: MediaSourceError."""
    name = str(path)
    probe = await asyncio.to_thread(_probe, name, _device_format(name) if is_device else None)
    playout = Playout()
    tracks = {
        kind: SourceTrack(kind, playout)
        for kind, wanted in (
            ("audio", audio and probe.has_audio),
            ("video", video and probe.has_video),
        )
        if wanted
    }
    if not tracks:
        raise MediaSourceError("The media has no track of the wanted kinds")
    reader = _Reader(name, loop_forever=loop_forever, is_device=is_device)
    reader.start(tracks)
    has_video = "video" in tracks
    return Source(
        tracks.get("audio"),
        tracks.get("video"),
        probe.width if has_video else None,
        probe.height if has_video else None,
        probe.frame_rate if has_video else None,
        reader.stop,
    )


# --- generated media -----------------------------------------------------------------------


class TestPatternVideo(MediaStreamTrack):
    """A moving gradient with a frame counter that `read_counter` finds in the frame."""

    kind = "video"
    __test__ = False

    def __init__(self, playout: Playout, width: int, height: int, frame_rate: int) -> None:
        super().__init__()
        self._playout = playout
        self._size = (width, height)
        self._frame_rate = frame_rate
        self._numbers = itertools.count()

    async def recv(self) -> Any:
        if self.readyState != "live":
            raise MediaStreamError
        number = next(self._numbers)
        frame = draw_pattern(number, *self._size)
        frame.time_base = VIDEO_TIME_BASE
        frame.pts = number * 90_000 // self._frame_rate
        await self._playout.wait_for(frame.time)
        return frame


def draw_pattern(number: int, width: int, height: int) -> Any:
    """One frame of the test pattern; width and height are even and at least 256 and 64."""
    planes = np.empty((height * 3 // 2, width), np.uint8)
    planes[:height] = 64 + (np.arange(width) * 128 // width).astype(np.uint8)
    planes[height:] = 128
    bar = number * 4 % width
    planes[COUNTER_BLOCK_PX : height // 2, bar : bar + 24] = 220
    for index in range(COUNTER_BITS):
        left = index * COUNTER_BLOCK_PX
        is_set = number >> index & 1
        planes[:COUNTER_BLOCK_PX, left : left + COUNTER_BLOCK_PX] = 235 if is_set else 16
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


def read_counter(frame: Any) -> int:
    """The number drawn into a decoded frame of the test pattern, modulo 65536."""
    luma = frame.to_ndarray(format="yuv420p")[:COUNTER_BLOCK_PX]
    blocks = luma[:, : COUNTER_BITS * COUNTER_BLOCK_PX].reshape(
        COUNTER_BLOCK_PX, COUNTER_BITS, COUNTER_BLOCK_PX
    )
    levels = blocks[4:-4, :, 4:-4].mean(axis=(0, 2))
    return sum(1 << index for index, level in enumerate(levels) if level > 125)


class ToneAudio(MediaStreamTrack):
    """A steady tone of 440 Hz."""

    kind = "audio"

    def __init__(self, playout: Playout) -> None:
        super().__init__()
        self._playout = playout
        self._frames = _tone()

    async def recv(self) -> Any:
        if self.readyState != "live":
            raise MediaStreamError
        frame = next(self._frames)
        await self._playout.wait_for(frame.time)
        return frame


def _tone() -> Iterator[Any]:
    for position in itertools.count(0, SAMPLES_PER_FRAME):
        phase = 2 * np.pi * TONE_HZ / SAMPLE_RATE * (position + np.arange(SAMPLES_PER_FRAME))
        samples = (8_000 * np.sin(phase)).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = AUDIO_TIME_BASE
        frame.pts = position
        yield frame


def open_test_pattern(
    *, audio: bool = True, video: bool = True, size: tuple[int, int] = (640, 480)
) -> Source:
    """Generated media without end, at 30 frames per second."""
    playout = Playout()
    if not video:
        return Source(ToneAudio(playout), None)
    return Source(
        ToneAudio(playout) if audio else None,
        TestPatternVideo(playout, *size, 30),
        *size,
        30.0,
    )


async def open_source(
    media: str | Path | None,
    audio: bool | MediaStreamTrack,
    video: bool | MediaStreamTrack,
    *,
    loop: bool,
    is_device: bool,
) -> Source:
    """Own tracks, generated media, or a file or device.

    Errors: InvalidParameter, MediaSourceError.
    """
    for kind, track in (("audio", audio), ("video", video)):
        if not isinstance(track, bool | MediaStreamTrack):
            raise InvalidParameter(
                f"`{kind}` is True, False or a MediaStreamTrack of aiortc, not a "
                f"{type(track).__name__}; own frames come from a track whose recv() gives them"
            )
        if isinstance(track, MediaStreamTrack) and track.kind != kind:
            raise InvalidParameter(f"The track for `{kind}` is one of {track.kind}")
    own = [t for t in (audio, video) if isinstance(t, MediaStreamTrack)]
    if own:
        return Source(
            audio if isinstance(audio, MediaStreamTrack) else None,
            video if isinstance(video, MediaStreamTrack) else None,
        )
    if not (audio or video):
        raise InvalidParameter("Nothing to publish")
    if media is None:
        return open_test_pattern(audio=bool(audio), video=bool(video))
    return await open_media(
        media, audio=bool(audio), video=bool(video), loop_forever=loop, is_device=is_device
    )
