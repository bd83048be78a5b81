"""What nobody asks for: archives that a killed server left are finished, files expire, and what
nobody can stop or knows any more ends."""

import itertools
from collections.abc import Awaitable, Callable

import structlog

from sfu.egress.jobs import EgressError, Finished
from sfu.ids import short
from signaling.archives.parts import ArchiveParts
from signaling.archives.recording import finished_record
from signaling.archives.service import Archives
from signaling.archives.uploads import Uploads
from signaling.domain.archiving import ArchiveEvent, ArchiveRecord, ArchiveStatus, step
from signaling.domain.errors import Unavailable
from signaling.domain.projects import Project
from signaling.domain.session_options import SessionRecord

log = structlog.get_logger(__name__)

_KEEP_HOUSE_S = 60.0
_STRAYS_EVERY = 60
"""Turns of house-keeping; each folder costs a query."""
_HOPE_MS = 24 * 3_600_000
"""How long an archive waits for room on the disk."""


class HouseKeeping:
    def __init__(self, parts: ArchiveParts, archives: Archives) -> None:
        self._parts = parts
        self._archives = archives
        self._store = parts.store.archives
        self._uploads = Uploads(parts, parts.uploader, self._apply, parts.allowed_networks)
        archives.on_complete = self._uploads.offer

    async def run(self) -> None:
        """Finishes what an earlier run or a full disk left, and deletes what was kept long enough.
        Runs until it is cancelled."""
        for turn in itertools.count():
            await self._try("recovering archives", self.recover)
            await self._try("stopping archives", self.stop_orphans)
            await self._try("expiring archives", self.expire)
            if turn % _STRAYS_EVERY == 0:
                await self._try("deleting strays", self.delete_strays)
            await self._parts.sleep(_KEEP_HOUSE_S)

    @staticmethod
    async def _try(what: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Unavailable:
            log.warning("the storage does not answer", while_=what)
        except Exception:
            log.exception("archives: a fault", while_=what)

    async def recover(self) -> None:
        """Finishes the archives in this node's folders that nothing records."""
        for record in await self._store.unfinished_archives():
            if self._archives.is_in_use(record.id) or not await self._parts.files.exist(record):
                continue
            if record.status is ArchiveStatus.STOPPED and record.sha256:
                self._uploads.offer(record)
                continue
            owner, project = await self._owners(record)
            if owner is not None and project is not None:
                await self._recover(owner, project, record)

    async def _recover(self, owner: SessionRecord, project: Project, record: ArchiveRecord) -> None:
        stopped = await self._changed(owner, project, record, ArchiveEvent.CHILD_LOST)
        if owner.options.e2ee:
            # A member service recorded; its file is not here.
            lost = await self._changed(owner, project, stopped, ArchiveEvent.FILE_LOST)
            await self._parts.files.delete(lost)
            return
        if self._parts.egress is None:
            log.warning("an archive waits for what can finish it", archive=short(record.id))
            return
        result: Finished | None = None
        try:
            result = await self._parts.egress.recover(self._parts.job(stopped))
        except EgressError as failure:
            log.warning("an archive waits", archive=short(record.id), code=failure.code)
            if self._parts.unix_ms() - stopped.updated_ms < _HOPE_MS:
                return
        if result is None:
            lost = await self._changed(owner, project, stopped, ArchiveEvent.FILE_LOST)
            await self._parts.files.delete(lost)
            return
        kept_ms = self._parts.settings.keep_h * 3_600_000
        finished = finished_record(stopped, result, self._parts.unix_ms() + kept_ms)
        if self._parts.uploader and await self._parts.store.buckets.bucket(record.project_id):
            await self._store.change_archive(finished)
            self._uploads.offer(finished)
            return
        await self._changed(owner, project, finished, ArchiveEvent.FILE_DONE)

    async def _owners(self, record: ArchiveRecord) -> tuple[SessionRecord | None, Project | None]:
        store = self._parts.store
        owner = await store.session(record.session_id)
        return owner, await store.project_named(record.project_id)

    async def _apply(self, record: ArchiveRecord, event: ArchiveEvent) -> None:
        owner, project = await self._owners(record)
        if owner is not None and project is not None:
            await self._changed(owner, project, record, event)

    async def close(self) -> None:
        """Ends uploads that are under way; the next start begins them again."""
        await self._uploads.close()

    async def _changed(
        self, owner: SessionRecord, project: Project, record: ArchiveRecord, event: ArchiveEvent
    ) -> ArchiveRecord:
        """The record after an event that nobody waits for, stored and reported."""
        changed, _ = step(record, event, self._parts.unix_ms())
        if changed is not record:
            await self._store.change_archive(changed)
            self._archives.notify(owner, changed, project)
        return changed

    async def stop_orphans(self) -> None:
        """Stops the archives of projects that were removed: nobody else can."""
        for recording in self._archives.running():
            record = recording.record
            if record.is_recording and not await self._parts.store.project_named(record.project_id):
                recording.handle(ArchiveEvent.SHUTDOWN)

    async def expire(self) -> None:
        """Deletes the files that were kept long enough."""
        for record in await self._store.archives_kept_until(self._parts.unix_ms()):
            if not await self._parts.files.exist(record):
                continue  # another node's
            owner, project = await self._owners(record)
            if owner is not None and project is not None:
                await self._changed(owner, project, record, ArchiveEvent.KEPT_LONG)
                await self._parts.files.delete(record)

    async def delete_strays(self) -> None:
        """Deletes the archives whose records are gone, as after the removal of a project, when
        they would have expired: another database may know them."""
        kept_s = self._parts.settings.keep_h * 3_600
        for folder in await self._parts.files.untouched_since(self._parts.clock.unix_s() - kept_s):
            name = folder.name
            known = self._archives.is_in_use(name) or await self._store.archive(name) is not None
            if not known and not self._archives.is_in_use(name):
                await self._parts.files.delete_stray(folder)
