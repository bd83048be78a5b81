"""What the broadcasts of a node work with."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from config.broadcast_settings import BroadcastSettings
from sfu.egress.broadcast_jobs import BroadcastEgress, BroadcastJob
from sfu.egress.live_outputs import HlsTarget, LiveOutputs, RtmpTarget
from sfu.target_policy import TargetPolicy
from signaling.broadcasts.folders import BroadcastFolders
from signaling.broadcasts.run import BroadcastSession
from signaling.clock import Clock
from signaling.domain.broadcasting import BroadcastRecord
from signaling.egress.distant_stops import DistantStops
from signaling.egress.links import Links
from signaling.egress.styles import Styles
from signaling.metrics import Metrics
from signaling.sessions.context import ReportEvent, Schedule
from signaling.storage.base import Store

GROUP_MS = 2_000
"""A segment begins with a key frame, which encoders of broadcasts make that often."""
Sleep = Callable[[float], Awaitable[None]]
Resolve = Callable[[str, int], Awaitable[list[str]]]


class BroadcastSessions(Protocol):
    """The sessions with clients in them."""

    def find(self, session: str) -> BroadcastSession | None: ...


class HlsServer(Protocol):
    """What serves the playlists of this node's folders."""

    async def start(self) -> None:
        """Returns when viewers can be served; the second call finds it running."""


async def resolved(host: str, port: int) -> list[str]:
    """The addresses of a name. Errors: `OSError`."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port)
    return [str(one[4][0]) for one in found]


@dataclass(frozen=True, slots=True)
class BroadcastParts:
    """`egress` is None if this installation cannot broadcast, `hls` if nobody serves playlists."""

    store: Store
    sessions: BroadcastSessions
    folders: BroadcastFolders
    egress: BroadcastEgress | None
    report_event: ReportEvent
    metrics: Metrics
    clock: Clock
    schedule: Schedule
    settings: BroadcastSettings
    links: Links
    targets: TargetPolicy
    random_bytes: Callable[[int], bytes]
    styles: Styles
    stops: DistantStops
    hls: HlsServer | None = None
    sleep: Sleep = asyncio.sleep
    resolve: Resolve = resolved

    def job(self, record: BroadcastRecord) -> BroadcastJob:
        return BroadcastJob(
            broadcast=record.id,
            folder=self.folders.folder(record),
            session=record.session_id,
            created_unix_ms=record.created_ms,
            hold_ms=self.settings.hold_ms,
            resolution=record.resolution,
            layout=record.layout,
            has_audio=record.has_audio,
            has_video=record.has_video,
            max_bitrate=record.max_bitrate,
            outputs=self._outputs(record),
        )

    def _outputs(self, record: BroadcastRecord) -> LiveOutputs:
        settings, target, hls = self.settings, None, record.hls
        if hls is not None:
            target = HlsTarget(
                segment_ms=-(-settings.segment_ms // GROUP_MS) * GROUP_MS,
                part_ms=settings.part_ms if hls.low_latency else None,
                dvr_s=settings.dvr_s if hls.dvr else 0,
                grows=hls.dvr and record.max_duration_s <= settings.dvr_s,
            )
        return LiveOutputs(
            hls=target,
            rtmp=tuple(RtmpTarget(one.id, one.server_url, one.stream_name) for one in record.rtmp),
            rtmp_retry_s=settings.rtmp_retry_s,
            allowed_networks=" ".join(str(one) for one in self.targets.allowed),
        )

    def unix_ms(self) -> int:
        return int(self.clock.unix_s() * 1000)
