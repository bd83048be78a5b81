"""The encoders of a composed job: H.264 main at 30 frames a second, and AAC-LC.

There are no B frames and no priming of audio in what they give, so that packets are in the order of
their times and a time means the same everywhere, without the lists of edits that some outputs do
not have.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np

from sfu.egress.child.encoded import (
    AUDIO_BITRATE_BPS,
    AUDIO_BLOCK,
    GOP_TICKS,
    Encoded,
    VideoFormat,
)
from sfu.egress.child.mix import Samples
from sfu.egress.child.plan import FPS, SAMPLE_RATE

_GLOBAL_HEADER = 1 << 22
"""Parameters are in the header of an output; those that need them in the packets put them there."""
_QUALITY = 23
"""x264's default; most images stay below their bitrate."""
_KEY = 1
_BUFFER_S = 2


class Encoders:
    """Encodes images and blocks of samples; each in order, without a gap. `video` or `audio`
    is off where the job has none."""

    def __init__(self, video: VideoFormat | None, *, audio: bool) -> None:
        self.video: Any = None
        self.audio: Any = None
        # Streams of a container that writes nothing: the outputs are made after their likeness.
        self._nowhere = av.open("nowhere", "w", format="null")
        self._tick = self._position = 0
        self._video_format = video
        if video is not None:
            self.video = self._add_video(video)
        if audio:
            self.audio = self._add_audio()
        self._nowhere.start_encoding()

    @property
    def templates(self) -> list[Any]:
        """The streams of an output, video first."""
        return [stream for stream in (self.video, self.audio) if stream is not None]

    def encode_video(self, frame: av.VideoFrame) -> Iterator[Encoded]:
        frame.pts, frame.time_base = self._tick, Fraction(1, FPS)
        frame.pict_type = _KEY if self._tick % GOP_TICKS == 0 else 0
        self._tick += 1
        yield from _packets("video", self.video.encode(frame))

    def encode_audio(self, samples: Samples) -> Iterator[Encoded]:
        """A block of `AUDIO_BLOCK` samples."""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), "fltp", "stereo")
        frame.pts, frame.time_base = self._position, Fraction(1, SAMPLE_RATE)
        frame.sample_rate = SAMPLE_RATE
        self._position += AUDIO_BLOCK
        yield from _packets("audio", self.audio.encode(frame))

    def finish(self) -> Iterator[Encoded]:
        """What the encoders still hold. Nothing follows."""
        for kind, stream in (("video", self.video), ("audio", self.audio)):
            if stream is not None:
                yield from _packets(kind, stream.encode(None))

    def close(self) -> None:
        self._nowhere.close()

    def _add_video(self, wanted: VideoFormat) -> Any:  # noqa: ANN401 - a stream of PyAV
        stream: Any = self._nowhere.add_stream("libx264", rate=FPS, options=_x264(wanted))
        stream.width, stream.height, stream.pix_fmt = wanted.width, wanted.height, "yuv420p"
        context = stream.codec_context
        context.time_base, context.gop_size = Fraction(1, FPS), GOP_TICKS
        context.thread_count, context.flags = wanted.threads, context.flags | _GLOBAL_HEADER
        context.color_range = 1
        return stream

    def _add_audio(self) -> Any:  # noqa: ANN401 - a stream of PyAV
        stream: Any = self._nowhere.add_stream("aac", rate=SAMPLE_RATE)
        stream.layout, stream.bit_rate = "stereo", AUDIO_BITRATE_BPS
        stream.codec_context.flags |= _GLOBAL_HEADER
        stream.codec_context.time_base = Fraction(1, SAMPLE_RATE)
        return stream


def _packets(kind: str, packets: Any) -> Iterator[Encoded]:  # noqa: ANN401 - of PyAV
    for packet in packets:
        # Before the first sample a decoder gets what the encoder was primed with: left out.
        if packet.pts >= 0:
            duration = AUDIO_BLOCK if kind == "audio" else 1
            yield Encoded(kind, bytes(packet), packet.pts, duration, packet.is_keyframe)


def _x264(wanted: VideoFormat) -> dict[str, str]:
    options = {
        "preset": wanted.preset,
        "profile": "main",
        "bf": "0",
        "sc_threshold": "0",
        "forced-idr": "1",
        "keyint_min": str(GOP_TICKS),
    }
    if wanted.quantization is not None:
        return {**options, "qp": str(wanted.quantization)}
    bitrate = str(wanted.bitrate_bps)
    bounds = {"maxrate": bitrate, "bufsize": str(_BUFFER_S * wanted.bitrate_bps)}
    if wanted.steady:
        return {**options, **bounds, "b": bitrate, "minrate": bitrate, "nal-hrd": "cbr"}
    return {**options, **bounds, "crf": str(_QUALITY)}
