"""The archives of this node: who starts, stops, shows and deletes them, and what keeps house.

A record is stored before its job begins, and its folder is made before the record is: after a kill
at any moment, the next start finds either both or a folder that nobody needs. A recording archive
is in memory too, where its record is newer than in the storage; each change of its status is
reported at once and stored in order behind the earlier ones.
"""

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from config.settings import ArchiveSettings
from sfu.egress.jobs import ArchiveJob, Egress, EgressError, Finished
from sfu.ids import StreamId, short
from sfu.media_plane import MediaError
from signaling.archives.files import ArchiveFiles
from signaling.archives.recording import (
    RecordedSession,
    Recording,
    RecordingTools,
    finished_record,
)
from signaling.clock import Clock
from signaling.domain.announcing import has_announced_connections
from signaling.domain.archive_links import link_path
from signaling.domain.archived_streams import Selection
from signaling.domain.archiving import (
    ArchiveEvent,
    ArchiveRecord,
    ArchiveStatus,
    StreamMode,
    archive_details,
    step,
)
from signaling.domain.effects import Notify
from signaling.domain.errors import (
    Conflict,
    DomainError,
    ErrorCode,
    NotFound,
    Unavailable,
    error,
)
from signaling.domain.projects import Project
from signaling.domain.session_options import SessionRecord
from signaling.metrics import Metrics
from signaling.sessions.context import ReportEvent, Schedule
from signaling.storage.base import Store

log = structlog.get_logger(__name__)

FEATURE = "archive"
_KEEP_HOUSE_S = 60.0
_STRAYS_EVERY = 60
"""Turns of house-keeping; each folder costs a query."""
_RETRY_S = 1.0
_LAST_WRITES_S = 1.0
_HOPE_MS = 24 * 3_600_000
"""How long an archive waits for room on the disk."""
_MB = 1_000_000
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WantedArchive:
    """What an application asks for."""

    name: str
    stream_mode: StreamMode
    has_audio: bool
    has_video: bool
    tag: str


@dataclass(slots=True)
class Links:
    """What links begin with; unless it is set, the server knows it when it listens."""

    base_url: str = ""


class RecordedSessions(Protocol):
    """The sessions with clients in them."""

    def find(self, session: str) -> RecordedSession | None: ...


@dataclass(frozen=True, slots=True)
class ArchiveParts:
    """`egress` is None if this installation cannot record."""

    store: Store
    sessions: RecordedSessions
    files: ArchiveFiles
    egress: Egress | None
    report_event: ReportEvent
    metrics: Metrics
    clock: Clock
    schedule: Schedule
    settings: ArchiveSettings
    links: Links
    sleep: Sleep = asyncio.sleep


class Archives:
    """Implements `RecordingHost`. Used on the event loop only."""

    def __init__(self, parts: ArchiveParts) -> None:
        self._parts = parts
        self._store = parts.store.archives
        self._tools = RecordingTools(parts.clock, parts.schedule, parts.settings)
        self._recordings: dict[str, Recording] = {}
        self._projects: dict[str, Project] = {}
        """Of the recordings: their links are made while nothing may be awaited."""
        self._starting: set[str] = set()
        self._writes: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()

    # --- the application's calls ------------------------------------------------------------

    def check_available(self) -> None:
        """Errors: `feature_unavailable` if this server does not record."""
        if self._parts.egress is None or not self._parts.settings.enabled:
            raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE)

    async def start(
        self, project: Project, session: SessionRecord, wanted: WantedArchive
    ) -> ArchiveRecord:
        """The archive, which records when this returns.

        Errors: `feature_unavailable`, `nobody_connected`, `archive_running`, `no_capacity`.
        """
        self.check_available()
        self._occupied(session)
        record = self._new_record(project, session, wanted)
        self._starting.add(record.id)
        try:
            await self._parts.files.make(record)
            try:
                await self._stopped_are_stored(session)
                await self._store.add_archive(record)
                self._begin(project, session, record)
            except BaseException:
                await self._undo(record)
                raise
        except OSError as cause:
            log.error("an archive has no folder", reason=cause.strerror)  # noqa: TRY400
            raise Unavailable(ErrorCode.NO_CAPACITY) from cause
        finally:
            self._starting.discard(record.id)
        return record

    def _new_record(
        self, project: Project, session: SessionRecord, wanted: WantedArchive
    ) -> ArchiveRecord:
        now_ms = self._unix_ms()
        return ArchiveRecord(
            id=str(uuid.uuid4()),
            project_id=project.api_key,
            session_id=session.session_id,
            name=wanted.name,
            stream_mode=wanted.stream_mode,
            has_audio=wanted.has_audio,
            has_video=wanted.has_video,
            tag=wanted.tag,
            created_ms=now_ms,
            updated_ms=now_ms,
        )

    def _begin(self, project: Project, session: SessionRecord, record: ArchiveRecord) -> None:
        """Nothing is awaited from here on: a client that leaves meets a recording archive."""
        egress = self._parts.egress
        if egress is None or self.free_bytes() < self._parts.settings.min_free_mb * _MB:
            raise Unavailable(ErrorCode.NO_CAPACITY)
        recording = Recording(record, session, self._occupied(session), self, self._tools)
        self._recordings[record.id], self._projects[record.id] = recording, project
        try:
            recording.begin(egress, self._job(record))
        except (MediaError, EgressError) as refused:
            del self._recordings[record.id], self._projects[record.id]
            raise _refusal(refused) from refused
        self._count_start()

    async def _stopped_are_stored(self, session: SessionRecord) -> None:
        """An archive that has just stopped must not be in the way of the next one."""
        for recording in list(self._recordings.values()):
            record = recording.record
            if record.session_id == session.session_id and not record.is_recording:
                await self._written(record.id)

    async def _undo(self, record: ArchiveRecord) -> None:
        with contextlib.suppress(Unavailable):
            await self._store.remove_archive(record.id)
        await self._parts.files.delete(record)

    async def show(self, project: Project, archive_id: str) -> ArchiveRecord:
        """Errors: `archive_not_found`."""
        recording = self._recordings.get(archive_id)
        record = await self._store.archive(archive_id) if recording is None else recording.record
        if record is None or record.project_id != project.api_key:
            raise NotFound(ErrorCode.ARCHIVE_NOT_FOUND)
        return record

    async def page(
        self, project: Project, session_id: str | None, offset: int, limit: int
    ) -> tuple[int, tuple[ArchiveRecord, ...]]:
        total, found = await self._store.archives_of(
            project.api_key, session_id, offset=offset, limit=limit
        )
        return total, tuple(self._newest(record) for record in found)

    def _newest(self, stored: ArchiveRecord) -> ArchiveRecord:
        recording = self._recordings.get(stored.id)
        return stored if recording is None else recording.record

    async def stop(self, project: Project, archive_id: str) -> ArchiveRecord:
        """Errors: `archive_not_found`, `archive_not_recording`."""
        record = await self.show(project, archive_id)
        recording = self._recordings.get(archive_id)
        if recording is None:
            # Of a node that was killed, or of another one.
            raise Conflict(ErrorCode.ARCHIVE_NOT_RECORDING)
        recording.handle(ArchiveEvent.STOP)
        record = recording.record
        await self._written(archive_id)
        return record

    async def delete(self, project: Project, archive_id: str) -> ArchiveRecord:
        """Errors: `archive_not_found`, `archive_not_deletable`."""
        record = await self.show(project, archive_id)
        step(record, ArchiveEvent.DELETE, self._unix_ms())
        await self._written(archive_id)
        await self._parts.files.delete(record)
        await self._store.remove_archive(record.id)
        return record

    async def change_streams(
        self, project: Project, archive_id: str, stream: str, selection: Selection | None
    ) -> None:
        """Records a stream of an archive in manual mode, or (None) no longer.

        Errors: `archive_not_found`, `stream_mode_auto`, `archive_not_recording`,
        `stream_not_found`.
        """
        record = await self.show(project, archive_id)
        if record.stream_mode is StreamMode.AUTO:
            raise error(ErrorCode.STREAM_MODE_AUTO)
        recording = self._recordings.get(archive_id)
        if recording is None or not recording.record.is_recording:
            raise Conflict(ErrorCode.ARCHIVE_NOT_RECORDING)
        actor = self._parts.sessions.find(record.session_id)
        if selection is None and StreamId(stream) not in recording.selected:
            raise NotFound(ErrorCode.STREAM_NOT_FOUND)
        if selection is not None:
            if actor is None:
                raise NotFound(ErrorCode.STREAM_NOT_FOUND)
            actor.state.live_stream(stream)
        recording.select(StreamId(stream), selection)

    def selected(self, archive_id: str) -> dict[StreamId, Selection]:
        """The streams of an archive in manual mode, while it records."""
        recording = self._recordings.get(archive_id)
        return {} if recording is None else dict(recording.selected)

    def holding(self, stream: str) -> list[ArchiveRecord]:
        """The archives that a stream is recorded in now."""
        return [one.record for one in self._recordings.values() if one.holds(StreamId(stream))]

    def link(self, project: Project, record: ArchiveRecord) -> str | None:
        """Where the file can be downloaded for ten minutes; None if there is none."""
        if record.status is not ArchiveStatus.AVAILABLE:
            return None
        path = link_path(project, record.id, int(self._parts.clock.unix_s()))
        return self._parts.links.base_url.rstrip("/") + path

    def _occupied(self, session: SessionRecord) -> RecordedSession:
        actor = self._parts.sessions.find(session.session_id)
        if actor is None or not has_announced_connections(actor.state):
            raise NotFound(ErrorCode.NOBODY_CONNECTED)
        return actor

    # --- what recordings say ----------------------------------------------------------------

    def free_bytes(self) -> int:
        return self._parts.files.free_bytes()

    def on_changed(self, recording: Recording) -> None:
        record = recording.record
        self._notify(recording.owner, record, self._projects[record.id])
        self._store_later(record)

    def on_over(self, recording: Recording, *, delete_files: bool) -> None:
        record = recording.record
        self._count_end(record)
        task = asyncio.create_task(self._end(recording, delete_files=delete_files))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, recording: Recording, *, delete_files: bool) -> None:
        record = recording.record
        if delete_files:
            await self._parts.files.delete(record)
        await self._written(record.id)
        self._recordings.pop(record.id, None)
        self._projects.pop(record.id, None)
        self._over.set()

    def _notify(self, owner: SessionRecord, record: ArchiveRecord, project: Project) -> None:
        details = archive_details(record, self.link(project, record))
        self._parts.report_event(owner, Notify("archive", record.id, archive=details))

    def _store_later(self, record: ArchiveRecord) -> None:
        before = self._writes.get(record.id)
        self._writes[record.id] = asyncio.create_task(self._write(record, before))

    async def _write(self, record: ArchiveRecord, before: "asyncio.Task[None] | None") -> None:
        """Stores a record behind its earlier versions, however long the storage is away."""
        if before is not None:
            await asyncio.wait({before})
        while True:
            try:
                await self._store.change_archive(record)
                break
            except Unavailable:
                await self._parts.sleep(_RETRY_S)
        if self._writes.get(record.id) is asyncio.current_task():
            del self._writes[record.id]

    async def _written(self, archive_id: str) -> None:
        """Returns when what is known of the archive is stored."""
        while (last := self._writes.get(archive_id)) is not None:
            await asyncio.wait({last})

    # --- what keeps house -------------------------------------------------------------------

    async def run(self) -> None:
        """Finishes what an earlier run or a full disk left, and deletes what was kept long enough.
        Runs until it is cancelled."""
        for turn in itertools.count():
            await self._try("recovering archives", self.recover)
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
            if self._is_in_use(record.id) or not await self._parts.files.exist(record):
                continue
            owner, project = await self._owners(record)
            if owner is not None and project is not None:
                await self._recover(owner, project, record)

    async def _recover(self, owner: SessionRecord, project: Project, record: ArchiveRecord) -> None:
        stopped = await self._changed(owner, project, record, ArchiveEvent.CHILD_LOST)
        if self._parts.egress is None:
            log.warning("an archive waits for what can finish it", archive=short(record.id))
            return
        result: Finished | None = None
        try:
            result = await self._parts.egress.recover(self._job(stopped))
        except EgressError as failure:
            log.warning("an archive waits", archive=short(record.id), code=failure.code)
            if self._unix_ms() - stopped.updated_ms < _HOPE_MS:
                return
        if result is None:
            lost = await self._changed(owner, project, stopped, ArchiveEvent.FILE_LOST)
            await self._parts.files.delete(lost)
            return
        kept_ms = self._parts.settings.keep_h * 3_600_000
        finished = finished_record(stopped, result, self._unix_ms() + kept_ms)
        await self._changed(owner, project, finished, ArchiveEvent.FILE_DONE)

    async def _owners(self, record: ArchiveRecord) -> tuple[SessionRecord | None, Project | None]:
        store = self._parts.store
        owner = await store.session(record.session_id)
        return owner, await store.project_named(record.project_id)

    async def _changed(
        self, owner: SessionRecord, project: Project, record: ArchiveRecord, event: ArchiveEvent
    ) -> ArchiveRecord:
        """The record after an event that nobody waits for, stored and reported."""
        changed, _ = step(record, event, self._unix_ms())
        if changed is not record:
            await self._store.change_archive(changed)
            self._notify(owner, changed, project)
        return changed

    async def expire(self) -> None:
        """Deletes the files that were kept long enough."""
        for record in await self._store.archives_kept_until(self._unix_ms()):
            if not await self._parts.files.exist(record):
                continue  # another node's
            owner, project = await self._owners(record)
            if owner is not None and project is not None:
                await self._changed(owner, project, record, ArchiveEvent.KEPT_LONG)
                await self._parts.files.delete(record)

    async def delete_strays(self) -> None:
        """Deletes folders whose records are gone, as after the removal of a project."""
        for name in await self._parts.files.ids():
            known = self._is_in_use(name) or await self._store.archive(name) is not None
            if not known and not self._is_in_use(name):
                await self._parts.files.delete_stray(name)

    def _is_in_use(self, archive_id: str) -> bool:
        return archive_id in self._starting or archive_id in self._recordings

    async def close(self, within_s: float) -> None:
        """Stops all archives, and waits for their files; the next start finishes the others."""
        for recording in list(self._recordings.values()):
            recording.handle(ArchiveEvent.SHUTDOWN)
        try:
            async with asyncio.timeout(within_s):
                while self._recordings:
                    self._over.clear()
                    await self._over.wait()
        except TimeoutError:
            log.warning("archives are left for the next start", archives=len(self._recordings))
        left = {*self._writes.values(), *self._tasks}
        if left:
            _, late = await asyncio.wait(left, timeout=_LAST_WRITES_S)
            for task in late:
                task.cancel()

    # --- helpers ----------------------------------------------------------------------------

    def _job(self, record: ArchiveRecord) -> ArchiveJob:
        return ArchiveJob(
            archive=record.id,
            folder=self._parts.files.folder(record),
            session=record.session_id,
            name=record.name,
            created_unix_ms=record.created_ms,
            hold_ms=self._parts.settings.hold_ms,
        )

    def _count_start(self) -> None:
        self._parts.metrics.egress_starts.labels(FEATURE).inc()
        self._parts.metrics.egress_running.labels(FEATURE).inc()

    def _count_end(self, record: ArchiveRecord) -> None:
        metrics = self._parts.metrics
        metrics.egress_running.labels(FEATURE).dec()
        metrics.egress_output_bytes.labels(FEATURE).inc(record.size_bytes)
        if record.status is ArchiveStatus.FAILED:
            metrics.egress_failures.labels(FEATURE, record.reason or "none").inc()

    def _unix_ms(self) -> int:
        return int(self._parts.clock.unix_s() * 1000)


def _refusal(refused: MediaError | EgressError) -> DomainError:
    if isinstance(refused, EgressError):
        return Unavailable(ErrorCode.NO_CAPACITY)
    if refused.code == "clear_media_required":
        return error(ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA)
    return Unavailable(ErrorCode.OVERLOADED)
