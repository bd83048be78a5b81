"""What composing makes, and where it goes; pure.

A job encodes once, whatever it writes: a file, the parts of a live playlist, other servers.
"""

from dataclasses import dataclass
from typing import Protocol

from sfu.egress.child.plan import FPS

DEFAULT_BITRATES_BPS = {480: 1_000_000, 720: 2_000_000, 1080: 4_000_000}
"""By the shorter side of the image."""
GOP_TICKS = 2 * FPS
AUDIO_BITRATE_BPS = 128_000
AUDIO_BLOCK = 1_024
"""Samples of a packet of AAC."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """`quantization`: constant quality instead of a bounded bitrate. `steady`: the bitrate is kept
    also where nothing moves, for viewers who watch meanwhile."""

    width: int
    height: int
    bitrate_bps: int
    quantization: int | None = None
    steady: bool = False
    preset: str = "veryfast"
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Encoded:
    """A packet. Times are images of video and samples of audio, from the beginning of the
    encoder's life. Images are in the order of their times."""

    kind: str
    data: bytes
    at: int
    duration: int
    key: bool


class Output(Protocol):
    """Where packets go. Of each kind they come in the order of their times."""

    def write(self, packet: Encoded) -> None:
        """Errors: `OSError`."""

    def close(self) -> None:
        """Completes what was written. Errors: `OSError`."""


def default_bitrate_bps(width: int, height: int) -> int:
    return DEFAULT_BITRATES_BPS.get(min(width, height), DEFAULT_BITRATES_BPS[480])
