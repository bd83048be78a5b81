"""Archives as part of a server: where their files are, and their house-keeping beside it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from config.settings import Settings
from sfu.egress.jobs import Egress
from sfu.egress.supervisor import Supervisor
from sfu.egress.uploads import Uploader
from signaling.archives.automatic import AutomaticArchives
from signaling.archives.house_keeping import HouseKeeping
from signaling.archives.parts import ArchiveParts
from signaling.archives.service import Archives
from signaling.egress.packages import are_installed

OF_BUCKETS = ("obstore",)
"""What the process of an upload imports, and nothing else of the server does."""
_CLOSE_S = 0.5
"""For archives that `Archives.close` did not see finished; they are finished without the server."""
EgressOpener = Callable[[Settings], Egress | None]


def archive_folder(settings: Settings) -> Path:
    own = settings.archive.dir
    return Path(own) if own else Path(settings.storage.data_dir) / "archives"


def open_egress(settings: Settings) -> Egress | None:
    """What records and broadcasts on this node, if anything may. Its processes begin with the
    first archive or broadcast."""
    wanted = settings.archive.enabled or settings.broadcast.enabled
    if not wanted or not settings.egress.children_max:
        return None
    return Supervisor(settings.egress, close_within_s=_CLOSE_S)


def open_uploader(settings: Settings) -> Uploader | None:
    """What brings finished archives to buckets, where the client for them is installed."""
    if not settings.archive.enabled or not are_installed(OF_BUCKETS, "no buckets for archives"):
        return None
    return Uploader()


@contextlib.asynccontextmanager
async def running_archives(parts: ArchiveParts) -> AsyncIterator[Archives]:
    """Call `Archives.close` while the sessions have media; the processes end after the block."""
    archives = Archives(parts)
    automatic = AutomaticArchives(parts, archives)
    parts.sessions.on_session.append(automatic.on_session)
    if parts.egress is not None:
        parts.metrics.watch_egress(parts.egress.counters)
    house_keeping = HouseKeeping(parts, archives)
    keeping_house = asyncio.create_task(house_keeping.run())
    try:
        yield archives
    finally:
        await automatic.close()
        keeping_house.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping_house
        await house_keeping.close()
        if parts.egress is not None:
            await parts.egress.close()
