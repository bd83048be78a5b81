"""Broadcasts as part of a server: where their folders are, and what runs beside them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import structlog

from config.settings import Settings
from signaling.broadcasts.hls_process import HlsProcess
from signaling.broadcasts.house_keeping import HouseKeeping
from signaling.broadcasts.parts import BroadcastParts
from signaling.broadcasts.service import Broadcasts

log = structlog.get_logger(__name__)


def broadcast_folder(settings: Settings) -> Path:
    own = settings.broadcast.dir
    return Path(own) if own else Path(settings.storage.data_dir) / "broadcasts"


async def open_hls(settings: Settings) -> HlsProcess | None:
    """What serves playlists on this node; its process begins with the first broadcast."""
    if not settings.broadcast.enabled or not settings.egress.children_max:
        return None
    process = HlsProcess(settings, broadcast_folder(settings))
    try:
        await process.open()
    except OSError as cause:
        wanted = settings.broadcast
        log.warning(
            "no broadcasts over HLS",
            reason=(cause.strerror or str(cause)).partition(" (while")[0],
            advice=f"cannot listen on {wanted.host}:{wanted.port}: set [broadcast] host and port",
        )
        return None
    return process


@contextlib.asynccontextmanager
async def running_broadcasts(
    parts: BroadcastParts, hls: HlsProcess | None = None
) -> AsyncIterator[Broadcasts]:
    """Call `Broadcasts.close` while the sessions have media."""
    broadcasts = Broadcasts(parts)
    if hls is not None:
        hls.fetched = broadcasts.on_fetched
    keeping_house = asyncio.create_task(HouseKeeping(parts, broadcasts).run())
    try:
        yield broadcasts
    finally:
        keeping_house.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping_house
        if hls is not None:
            await hls.close()
