"""The tracks of a broadcast as its outputs know them, H.264 and AAC; pure.

Times are in ticks of the track's clock. Packets of a track come in the order of their times, and
none is shown at another time than that.
"""

from dataclasses import dataclass
from typing import Protocol

from sfu.egress.child.bitstream import annex_b
from sfu.egress.child.h264_record import h264_record

_MICROSECONDS = 1_000_000
_SPS, _PPS, _UNIT_DELIMITER = 7, 8, 9
_IN_THE_HEADER = frozenset({_UNIT_DELIMITER, _SPS, _PPS})
"""Types of units that no packet repeats: the parameters are in the track."""


class Packet(Protocol):
    """One encoded frame: `kind` is video, with start codes, or audio, raw AAC."""

    @property
    def kind(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def at(self) -> int: ...
    @property
    def duration(self) -> int: ...
    @property
    def key(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """`record`: the AVCDecoderConfigurationRecord. `hz`: ticks per second."""

    width: int
    height: int
    hz: int
    record: bytes
    bitrate_bps: int = 0


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """`config`: the AudioSpecificConfig of AAC (ISO/IEC 14496-3 section 1.6.2.1)."""

    hz: int
    channels: int
    config: bytes
    bitrate_bps: int = 0


@dataclass(frozen=True, slots=True)
class Tracks:
    """At least one of them."""

    video: VideoTrack | None
    audio: AudioTrack | None

    @property
    def leading(self) -> str:
        """The kind that decides where media can be cut."""
        return "audio" if self.video is None else "video"

    def hz(self, kind: str) -> int:
        one = self.video if kind == "video" else self.audio
        if one is None:
            raise ValueError(f"the broadcast has no {kind}")
        return one.hz

    def microseconds(self, packet: Packet) -> int:
        return microseconds(packet.at, self.hz(packet.kind))


def microseconds(ticks: int, hz: int) -> int:
    return ticks * _MICROSECONDS // hz


def record_of(parameters: bytes) -> bytes:
    """What an encoder says of its video, between start codes, as headers hold it.
    Errors: `ValueError`."""
    return h264_record(parameters)


def with_lengths(data: bytes) -> bytes:
    """A packet of video with lengths of four bytes in the place of start codes."""
    units = (unit for unit in annex_b(data) if unit[0] & 0x1F not in _IN_THE_HEADER)
    return b"".join(len(unit).to_bytes(4) + unit for unit in units)
