"""The archives of this node: who starts, stops, shows and deletes them, and what keeps house.

A record is stored before its job begins, and its folder is made before the record is: after a kill
at any moment, the next start finds either both or a folder that nobody needs. A recording archive
is in memory too, where its record is newer than in the storage; each change of its status is
reported at once and stored in order behind the earlier ones.
"""

import asyncio
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from sfu.egress.composition import Composition, Layout
from sfu.egress.jobs import EgressError
from sfu.ids import ConnectionId, StreamId
from sfu.media_plane import MediaError
from signaling.archives.parts import ArchiveParts
from signaling.archives.recording import (
    RecordedSession,
    Recording,
    RecordingTools,
)
from signaling.archives.room import Room, Shortage
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
    BadRequest,
    Conflict,
    DomainError,
    ErrorCode,
    NotFound,
    Unavailable,
    error,
)
from signaling.domain.projects import Project
from signaling.domain.session_options import SessionRecord
from signaling.egress.distant_stops import Stoppable
from signaling.egress.ordered_writes import OrderedWrites
from signaling.egress.styles import Frame

log = structlog.get_logger(__name__)

FEATURE = "archive"
INDIVIDUAL = "An archive with 'outputMode' individual has no layout."
MAX_OF_SESSION = 10
"""Archives of a session at a time, each with its own tag: its media is copied for each of them."""
_LAST_WRITES_S = 1.0
_LOOK_S = 0.9
"""Recordings write something every second; room is looked for as often."""


@dataclass(frozen=True, slots=True)
class WantedArchive:
    """What an application asks for."""

    name: str
    stream_mode: StreamMode
    has_audio: bool
    has_video: bool
    tag: str
    composition: Composition | None = None


class Archives:
    """Implements `RecordingHost`. Used on the event loop only."""

    def __init__(self, parts: ArchiveParts) -> None:
        self._parts = parts
        self._store = parts.store.archives
        self._store_of_buckets = parts.store.buckets
        self.on_complete: Callable[[ArchiveRecord], None] = lambda _: None
        """Called with each record whose file is complete and goes to a bucket."""
        self._tools = RecordingTools(parts.clock, parts.schedule, parts.settings, parts.styles)
        self._recordings: dict[str, Recording] = {}
        self._projects: dict[str, Project] = {}
        """Of the recordings: their links are made while nothing may be awaited."""
        self._starting: set[str] = set()
        self._writes = OrderedWrites(parts.sleep)
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._room = Room(parts.files, parts.settings)
        self._room_task: asyncio.Task[None] | None = None
        self._looked_s = -math.inf
        parts.stops.offer(Stoppable(self._projects_of_running, self._stop_here))

    # --- the application's calls ------------------------------------------------------------

    @property
    def is_available(self) -> bool:
        return self._parts.egress is not None and self._parts.settings.enabled

    def check_available(self, session: SessionRecord) -> None:
        """Errors: `feature_unavailable` if this server does not record. Encrypted sessions are
        recorded by member services, whatever it can do."""
        self._parts.recorder(session)

    async def start(
        self, project: Project, session: SessionRecord, wanted: WantedArchive
    ) -> ArchiveRecord:
        """The archive, which records when this returns.

        Errors: `feature_unavailable`, `nobody_connected`, `invalid_stylesheet`, `archive_running`,
        `no_capacity`, `archive_quota`.
        """
        self.check_available(session)
        self._occupied(session)
        if wanted.composition is not None:
            await self._check_layout(project, wanted.composition, wanted.composition.layout)
        record = self._new_record(project, session, wanted)
        self._starting.add(record.id)
        try:
            await self._parts.files.make(record)
            try:
                await self._stopped_are_stored(session)
                await self._store.add_archive(record)
                await self._room.look(self._owners() | {project.api_key})
                goes_to_bucket = await self._has_bucket(project)
                self._begin(project, session, record)
                self._recordings[record.id].goes_to_bucket = goes_to_bucket
            except BaseException:
                await self._undo(record)
                raise
        except OSError as cause:
            log.error("an archive has no folder", reason=cause.strerror)  # noqa: TRY400
            raise Unavailable(ErrorCode.NO_CAPACITY) from cause
        finally:
            self._starting.discard(record.id)
        return record

    async def _has_bucket(self, project: Project) -> bool:
        if self._parts.uploader is None:
            return False
        return await self._store_of_buckets.bucket(project.api_key) is not None

    def _new_record(
        self, project: Project, session: SessionRecord, wanted: WantedArchive
    ) -> ArchiveRecord:
        now_ms = self._parts.unix_ms()
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
            composition=wanted.composition,
        )

    def _begin(self, project: Project, session: SessionRecord, record: ArchiveRecord) -> None:
        """Nothing is awaited from here on: a client that leaves meets a recording archive."""
        recorder = self._parts.recorder(session)
        shortage = self._shortage(record, is_elsewhere=recorder.is_elsewhere)
        if shortage is not None:
            raise self._refused(shortage)
        recording = Recording(record, session, self._occupied(session), self, self._tools)
        self._recordings[record.id], self._projects[record.id] = recording, project
        try:
            recording.begin(recorder, self._parts.job(record))
        except (MediaError, EgressError) as refused:
            del self._recordings[record.id], self._projects[record.id]
            if isinstance(refused, EgressError):
                raise self._refused(Shortage.PLACES) from refused
            raise _refusal(refused) from refused
        self._count_start()

    def _shortage(self, record: ArchiveRecord, *, is_elsewhere: bool) -> Shortage | None:
        """Of the disk, or of places beside the other archives of its session and project: nobody
        takes all of them."""
        running = [recording.record for recording in self._recordings.values()]
        of_session = sum(one.session_id == record.session_id for one in running)
        of_project = sum(one.project_id == record.project_id for one in running)
        if of_session >= MAX_OF_SESSION or of_project >= self._parts.settings.running_per_project:
            return Shortage.PLACES
        return None if is_elsewhere else self._room.for_new(record.project_id)

    def _refused(self, shortage: Shortage) -> DomainError:
        self._parts.metrics.archive_starts_refused.labels(shortage.value).inc()
        is_quota = shortage is Shortage.QUOTA
        return error(ErrorCode.ARCHIVE_QUOTA if is_quota else ErrorCode.NO_CAPACITY)

    async def _stopped_are_stored(self, session: SessionRecord) -> None:
        """An archive that has just stopped must not be in the way of the next one."""
        for recording in list(self._recordings.values()):
            record = recording.record
            if record.session_id == session.session_id and not record.is_recording:
                await self._writes.written(record.id)

    async def _undo(self, record: ArchiveRecord) -> None:
        try:
            await self._store.remove_archive(record.id)
        except Unavailable:
            return  # with its folder the record is found and ended by `recover`
        await self._parts.files.delete(record)

    async def show(self, project: Project, archive_id: str) -> ArchiveRecord:
        """Errors: `archive_not_found`."""
        recording = self._recordings.get(archive_id)
        if recording is not None and recording.record.status is ArchiveStatus.AVAILABLE:
            await self._writes.written(archive_id)  # its link is good from now on
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
        if archive_id in self._recordings:
            return await self._stop_here(archive_id)
        if record.is_recording and await self._parts.stops.ask(record.project_id, record.id):
            return await self.show(project, archive_id)
        # It is over, or its node was killed.
        raise Conflict(ErrorCode.ARCHIVE_NOT_RECORDING)

    async def _stop_here(self, archive_id: str) -> ArchiveRecord:
        """Errors: `archive_not_recording`."""
        recording = self._recordings.get(archive_id)
        if recording is None:
            raise Conflict(ErrorCode.ARCHIVE_NOT_RECORDING)
        recording.handle(ArchiveEvent.STOP)
        record = recording.record
        await self._writes.written(archive_id)
        return record

    def _projects_of_running(self) -> dict[str, str]:
        return {one: recording.record.project_id for one, recording in self._recordings.items()}

    async def delete(self, project: Project, archive_id: str) -> ArchiveRecord:
        """Errors: `archive_not_found`, `archive_not_deletable`."""
        record = await self.show(project, archive_id)
        step(record, ArchiveEvent.DELETE, self._parts.unix_ms())
        await self._writes.written(archive_id)
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
        recording = self._recording(archive_id)
        actor = self._parts.sessions.find(record.session_id)
        if selection is None and StreamId(stream) not in recording.selected:
            raise NotFound(ErrorCode.STREAM_NOT_FOUND)
        if selection is not None:
            if actor is None:
                raise NotFound(ErrorCode.STREAM_NOT_FOUND)
            actor.state.live_stream(stream)
        recording.select(StreamId(stream), selection)

    async def set_layout(self, project: Project, archive_id: str, layout: Layout) -> ArchiveRecord:
        """Arranges the streams of a composed archive in another way.

        Errors: `archive_not_found`, `invalid_parameter` for one that is not composed,
        `archive_not_recording`, `invalid_stylesheet`.
        """
        record = await self.show(project, archive_id)
        if record.composition is None:
            raise BadRequest(ErrorCode.INVALID_PARAMETER, INDIVIDUAL)
        self._recording(archive_id)
        await self._check_layout(project, record.composition, layout)
        recording = self._recording(archive_id)
        recording.set_layout(layout)
        changed = recording.record
        self._writes.later(changed.id, lambda: self._store.change_archive(changed))
        return recording.record

    def _recording(self, archive_id: str) -> Recording:
        """Errors: `archive_not_recording`."""
        recording = self._recordings.get(archive_id)
        if recording is None or not recording.record.is_recording:
            raise Conflict(ErrorCode.ARCHIVE_NOT_RECORDING)
        return recording

    async def _check_layout(
        self, project: Project, composition: Composition, layout: Layout
    ) -> None:
        frame = Frame(project.api_key, "archive", composition.width, composition.height)
        await self._parts.styles.check(frame, layout)

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
        path = link_path(project, record.id, int(self._parts.clock.unix_s()), record.file_name)
        return self._parts.links.base_url.rstrip("/") + path

    def _occupied(self, session: SessionRecord) -> RecordedSession:
        actor = self._parts.sessions.find(session.session_id)
        if actor is None or not has_announced_connections(actor.state, self.recorders()):
            raise NotFound(ErrorCode.NOBODY_CONNECTED)
        return actor

    def recorders(self) -> frozenset[ConnectionId]:
        return self._parts.members.recorders()

    # --- what recordings say ----------------------------------------------------------------

    def on_progress(self) -> None:
        """Looks for room, once for all recordings. Nothing waits for the disk."""
        now_s = self._parts.clock.monotonic_s()
        if self._room_task is None and now_s - self._looked_s >= _LOOK_S:
            self._looked_s = now_s
            self._room_task = task = asyncio.create_task(self._end_without_room())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _end_without_room(self) -> None:
        try:
            await self._room.look(self._owners())
        except OSError as failure:
            log.warning("the disk of archives cannot be looked at", reason=failure.strerror)
            return
        finally:
            self._room_task = None
        for recording in list(self._recordings.values()):
            shortage = self._room.for_running(recording.record.project_id)
            is_here = recording.record.is_recording and not recording.is_elsewhere
            if shortage is not None and is_here:
                if shortage is Shortage.QUOTA:
                    self._parts.metrics.archives_over_quota.inc()
                recording.handle(ArchiveEvent.DISK_FULL)

    def _owners(self) -> set[str]:
        """The projects whose archives record here."""
        return {recording.record.project_id for recording in self._recordings.values()}

    def on_changed(self, recording: Recording) -> None:
        record = recording.record
        self.notify(recording.owner, record, self._projects[record.id])
        self._writes.later(record.id, lambda: self._store.change_archive(record))

    def on_over(self, recording: Recording, *, delete_files: bool) -> None:
        record = recording.record
        self._count_end(record)
        if record.status is ArchiveStatus.STOPPED:
            self._writes.later(record.id, lambda: self._store.change_archive(record))
        task = asyncio.create_task(self._end(recording, delete_files=delete_files))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, recording: Recording, *, delete_files: bool) -> None:
        record = recording.record
        if delete_files:
            await self._parts.files.delete(record)
        await self._writes.written(record.id)
        self._recordings.pop(record.id, None)
        self._projects.pop(record.id, None)
        self._over.set()
        if record.status is ArchiveStatus.STOPPED and record.sha256:
            self.on_complete(record)

    def notify(self, owner: SessionRecord, record: ArchiveRecord, project: Project) -> None:
        details = archive_details(record, self.link(project, record))
        self._parts.report_event(owner, Notify("archive", record.id, archive=details))

    # --- what house-keeping asks ------------------------------------------------------------

    def running(self) -> list[Recording]:
        return list(self._recordings.values())

    def is_in_use(self, archive_id: str) -> bool:
        return archive_id in self._starting or archive_id in self._recordings

    async def close(self, within_s: float) -> None:
        """Stops all archives, and waits for their files; the next start finishes the others. Member
        services finish those that they record without the server."""
        for recording in list(self._recordings.values()):
            recording.handle(ArchiveEvent.SHUTDOWN)
        try:
            async with asyncio.timeout(within_s):
                while self._recordings:
                    self._over.clear()
                    await self._over.wait()
        except TimeoutError:
            log.warning("archives are left for the next start", archives=len(self._recordings))
        self._parts.members.close()
        left = self._writes.pending() | self._tasks
        if left:
            _, late = await asyncio.wait(left, timeout=_LAST_WRITES_S)
            for task in late:
                task.cancel()

    # --- helpers ----------------------------------------------------------------------------

    def _count_start(self) -> None:
        self._parts.metrics.egress_starts.labels(FEATURE).inc()
        self._parts.metrics.egress_running.labels(FEATURE).inc()

    def _count_end(self, record: ArchiveRecord) -> None:
        metrics = self._parts.metrics
        metrics.egress_running.labels(FEATURE).dec()
        if record.status is ArchiveStatus.AVAILABLE:
            # Until then the size is the recording process's word.
            metrics.egress_output_bytes.labels(FEATURE).inc(record.size_bytes)
        if record.status is ArchiveStatus.FAILED:
            metrics.egress_failures.labels(FEATURE, record.reason or "none").inc()


def _refusal(refused: MediaError) -> DomainError:
    if refused.code == "clear_media_required":
        return error(ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA)
    return Unavailable(ErrorCode.OVERLOADED)
