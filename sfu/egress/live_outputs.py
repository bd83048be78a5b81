"""Where a broadcast goes, as a job is told it."""

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

HLS = "hls"
"""The name of the HLS output among those of a broadcast."""
_Ms = Annotated[int, Meta(ge=1, le=60_000)]
_S = Annotated[int, Meta(ge=0, le=604_800)]
_Text = Annotated[str, Meta(max_length=4_096)]


@dataclass(frozen=True, slots=True)
class HlsTarget:
    """`part_ms`: only for low latency. `dvr_s`: how far back viewers can seek, 0 not at all;
    `grows`: the broadcast ends before anything leaves the playlist."""

    segment_ms: _Ms
    part_ms: _Ms | None = None
    dvr_s: _S = 0
    grows: bool = False


@dataclass(frozen=True, slots=True)
class RtmpTarget:
    """`stream_name` is a secret."""

    id: _Text
    server_url: _Text
    stream_name: _Text = field(repr=False)


@dataclass(frozen=True, slots=True)
class LiveOutputs:
    """`allowed_networks`: where RTMP may go beside public addresses, space-separated."""

    hls: HlsTarget | None = None
    rtmp: tuple[RtmpTarget, ...] = ()
    rtmp_retry_s: _S = 60
    allowed_networks: _Text = ""
