"""Opus by FFmpeg's libopus: the one place of this process that decodes what a stranger sent."""

from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from sfu.egress.audio.resample import BLOCK, RATE_HZ, Samples

BIT_RATE_BPS = 40_000
"""Speech and music in mono sound as they came from here on."""
_MAX_SAMPLES = 120 * 48
"""Of a packet (RFC 6716 section 2.1.4)."""


class UndecodableError(Exception):
    """A packet that is not Opus."""


class OpusDecoder:
    """One track. Stereo becomes mono."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "r")
        assert isinstance(codec, AudioCodecContext)  # noqa: S101 - for the types; it is audio
        codec.sample_rate = RATE_HZ
        codec.layout = "stereo"
        codec.thread_count = 1
        self._codec = codec

    def decode(self, packet: bytes) -> Samples:
        """Errors: `UndecodableError`."""
        if not packet:
            raise UndecodableError  # to FFmpeg it is the end of the stream
        try:
            frames = self._codec.decode(av.Packet(packet))
        except (av.FFmpegError, ValueError) as cause:
            raise UndecodableError from cause
        if not frames:
            return np.zeros(0, np.float32)
        return np.concatenate([_mono(frame) for frame in frames])[:_MAX_SAMPLES]


def _mono(frame: av.AudioFrame) -> Samples:
    samples = frame.to_ndarray()
    channels = len(frame.layout.channels)
    if not frame.format.is_planar:
        samples = samples.reshape(-1, channels).T
    if samples.dtype == np.int16:
        samples = samples.astype(np.float32) / 32_768
    mono: Samples = samples.mean(axis=0, dtype=np.float32)
    return mono


class OpusEncoder:
    """Mono, one packet for each 20 ms."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "w")
        assert isinstance(codec, AudioCodecContext)  # noqa: S101
        codec.sample_rate = RATE_HZ
        codec.layout = "mono"
        codec.format = "s16"
        codec.bit_rate = BIT_RATE_BPS
        codec.options = {"application": "voip", "frame_duration": "20"}
        codec.time_base = Fraction(1, RATE_HZ)
        codec.thread_count = 1
        self._codec = codec
        self._samples = 0

    def encode(self, block: Samples) -> bytes:
        """The next packet; empty while the encoder begins."""
        whole = np.round(np.clip(block, -1.0, 1.0) * 32_767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole.reshape(1, BLOCK), format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = self._samples
        self._samples += BLOCK
        packets = self._codec.encode(frame)
        return bytes(packets[0]) if packets else b""
