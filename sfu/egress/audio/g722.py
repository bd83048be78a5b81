"""G.722 of telephones by FFmpeg: speech of 7 kHz, 64 kbit/s."""

from typing import Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from sfu.egress.audio.opus import UndecodableError
from sfu.egress.audio.resample import BLOCK, Decimator, Interpolator, Samples
from sfu.egress.audio.resample import RATE_HZ as WIDE_HZ

RATE_HZ = 16_000
_BLOCK = BLOCK * RATE_HZ // WIDE_HZ
_MAX_BYTES = 8_000 * 120 // 1_000
"""Of a packet: a byte is two samples."""


class G722Codec:
    """Both directions of one call: each carries on from its last packet."""

    def __init__(self) -> None:
        self._encoder, self._decoder = _codec("w"), _codec("r")
        self._narrow, self._wide = Decimator(RATE_HZ), Interpolator(RATE_HZ)
        self._samples = 0

    def encode(self, block: Samples) -> bytes:
        narrow = np.clip(self._narrow.convert(block), -1.0, 1.0)
        whole = np.round(narrow * 32_767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole.reshape(1, _BLOCK), format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = self._samples
        self._samples += _BLOCK
        return b"".join(bytes(packet) for packet in self._encoder.encode(frame))

    def decode(self, data: bytes) -> Samples:
        """Errors: `UndecodableError`."""
        if not 0 < len(data) <= _MAX_BYTES:
            raise UndecodableError
        try:
            frames = self._decoder.decode(av.Packet(data))
        except (av.FFmpegError, ValueError) as cause:
            raise UndecodableError from cause
        found = [frame.to_ndarray().reshape(-1) for frame in frames]
        narrow = np.concatenate(found) if found else np.zeros(0, np.int16)
        samples: Samples = narrow.astype(np.float32) / np.float32(32_768)
        return self._wide.convert(samples)


def _codec(mode: Literal["r", "w"]) -> AudioCodecContext:
    codec = av.CodecContext.create("g722", mode)
    assert isinstance(codec, AudioCodecContext)  # noqa: S101 - for the types; it is audio
    codec.sample_rate = RATE_HZ
    codec.layout = "mono"
    if mode == "w":
        codec.format = "s16"
    codec.thread_count = 1
    codec.open()
    return codec
