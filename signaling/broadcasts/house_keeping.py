"""What nobody asks for: broadcasts that a killed server left are ended, and folders that nobody
watches any more are deleted."""

from signaling.broadcasts.parts import BroadcastParts
from signaling.broadcasts.service import Broadcasts
from signaling.domain.broadcasting import BroadcastEvent, BroadcastRecord
from signaling.egress.house_keeping import keep_house

KEEP_ENDED_S = 60
"""Players that are behind see the end; long enough for those with the longest delay."""


class HouseKeeping:
    def __init__(self, parts: BroadcastParts, broadcasts: Broadcasts) -> None:
        self._parts = parts
        self._broadcasts = broadcasts
        self._store = parts.store.broadcasts

    async def run(self) -> None:
        """Runs until it is cancelled."""
        chores = {
            "ending broadcasts of an earlier run": self.recover,
            "stopping broadcasts": self.stop_orphans,
            "looking for room": self._broadcasts.end_without_room,
            "deleting broadcasts": self.delete_old,
        }
        await keep_house(chores, self._parts.sleep)

    async def recover(self) -> None:
        """Ends what this node's folders say to run, and nothing runs."""
        for record in await self._store.running_broadcasts():
            if self._broadcasts.is_in_use(record.id) or not await self._parts.folders.exist(record):
                continue
            owner = await self._parts.store.session(record.session_id)
            if owner is not None and not self._broadcasts.is_in_use(record.id):
                await self._broadcasts.end_lost(owner, record)

    async def stop_orphans(self) -> None:
        """Stops the broadcasts of projects that were removed: nobody else can."""
        for run in self._broadcasts.running():
            record = run.record
            if record.is_running and not await self._parts.store.project_named(record.project_id):
                run.handle(BroadcastEvent.SHUTDOWN)

    async def delete_old(self) -> None:
        """Deletes the folders of broadcasts that ended long enough ago, or have no record."""
        for broadcast_id in await self._parts.folders.all():
            if self._broadcasts.is_in_use(broadcast_id):
                continue
            record = await self._store.broadcast(broadcast_id)
            is_due = record is None or self._is_due(record)
            if is_due and not self._broadcasts.is_in_use(broadcast_id):
                await self._parts.folders.delete_stray(broadcast_id)

    def _is_due(self, record: BroadcastRecord) -> bool:
        has_dvr = record.hls is not None and record.hls.dvr
        keep_s = self._parts.settings.keep_dvr_s if has_dvr else KEEP_ENDED_S
        ended_s = (self._parts.unix_ms() - record.updated_ms) / 1000
        return not record.is_running and ended_s > keep_s
