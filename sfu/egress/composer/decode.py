"""Decoders of what participants send. One thread each: with more, frames come late."""

from typing import Any, cast

import av
import av.error
import numpy as np

from sfu.egress.child.mix import CHANNELS, Samples

av.logging.set_level(None)  # what a participant can provoke is no line of a log

_DECODERS = {"vp8": "vp8", "vp9": "vp9", "h264": "h264", "av1": "libdav1d", "opus": "libopus"}
_LOW_DELAY = 1 << 19
VIDEO_CODECS = frozenset(_DECODERS) - {"opus"}


class DecodeError(Exception):
    """The data is not what its codec makes of it."""


class VideoDecoder:
    """The video of one stream, from one key frame to the loss of a reference."""

    def __init__(self, codec: str) -> None:
        """Errors: `DecodeError` for a codec that is not decoded."""
        self._context = cast("av.VideoCodecContext", _opened(codec))

    def decode(self, data: bytes) -> av.VideoFrame | None:
        """The frame; None where the data has none to show. Errors: `DecodeError`."""
        frames = _decoded(self._context, data)
        return frames[-1] if frames else None


class AudioDecoder:
    """The audio of one stream."""

    def __init__(self, codec: str) -> None:
        """Errors: `DecodeError` for a codec that is not decoded."""
        self._context = cast("av.AudioCodecContext", _opened(codec))

    def decode(self, data: bytes) -> Samples:
        """Stereo at 48 kHz. Errors: `DecodeError`."""
        pieces = [_samples(frame) for frame in _decoded(self._context, data)]
        return np.concatenate(pieces) if pieces else np.zeros((0, CHANNELS), np.float32)


def _opened(codec: str) -> Any:  # noqa: ANN401 - PyAV has a class for each kind
    if codec not in _DECODERS:
        raise DecodeError(f"no decoder for {codec}")
    context: Any = av.CodecContext.create(_DECODERS[codec], "r")
    context.thread_count = 1
    if context.type == "audio":
        context.layout, context.sample_rate = "stereo", 48_000
    else:
        context.thread_type = "NONE"
        context.flags |= _LOW_DELAY
        context.options = {"err_detect": "explode"} if codec == "h264" else {}
    return context


def _decoded(context: Any, data: bytes) -> list[Any]:  # noqa: ANN401 - see above
    try:
        return list(context.decode(av.Packet(data)))
    except (av.error.FFmpegError, EOFError, ValueError) as cause:
        raise DecodeError("the frame does not decode") from cause


def _samples(frame: av.AudioFrame) -> Samples:
    """Whatever the decoder gives, as floats in (samples, channels)."""
    array = frame.to_ndarray()
    channels = frame.layout.nb_channels
    if array.shape[0] != channels:  # packed: one row
        array = array.reshape(-1, channels).T
    if array.dtype == np.int16:
        array = array.astype(np.float32) / 32_768
    return np.ascontiguousarray(np.resize(array, (CHANNELS, array.shape[1])).T, np.float32)
