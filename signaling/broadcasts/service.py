"""The broadcasts of this node: who starts, stops, shows and changes them.

A record is stored before its job begins, and its folder is made before the record is: after a kill
at any moment, the next start finds either both or a folder that nobody needs. A running broadcast
is in memory too, where its record is newer than in the storage; each change is reported at once and
stored in order behind the earlier ones.
"""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog

from sfu.egress.broadcast_jobs import layout_of
from sfu.egress.jobs import EgressError
from sfu.ids import StreamId
from sfu.media_plane import MediaError
from sfu.target_policy import TargetRefused
from signaling.broadcasts.parts import BroadcastParts
from signaling.broadcasts.run import BroadcastRun, BroadcastSession, RunTools, frame_of
from signaling.domain.announcing import has_announced_connections
from signaling.domain.archived_streams import Selection
from signaling.domain.archiving import StreamMode
from signaling.domain.broadcasting import (
    HLS,
    BroadcastEvent,
    BroadcastRecord,
    BroadcastStatus,
    HlsOutput,
    OutputStatus,
    RtmpOutput,
    broadcast_details,
    checked_rtmp_url,
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

log = structlog.get_logger(__name__)

FEATURE = "broadcast"
MAX_OF_SESSION = 10
"""Broadcasts of a session at a time, each with its own tag: its media is copied for each."""
NO_HLS = "This server does not serve HLS: its port is in use."
NO_ROOM = "This server has no room for another broadcast; try again later."
ALL_STREAMS = "The broadcast has all streams: only one with 'streamMode' manual can be changed."
_KEY_BYTES = 16
_DEFAULT_PORTS = {"rtmp": 1_935, "rtmps": 443}
_LAST_WRITES_S = 1.0
_MB = 1_000_000
LAST_RESERVE = 8
"""A running broadcast stops below this part of the space that a new one needs."""


@dataclass(frozen=True, slots=True)
class WantedRtmp:
    id: str | None
    server_url: str
    stream_name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WantedHls:
    low_latency: bool
    dvr: bool


@dataclass(frozen=True, slots=True)
class WantedBroadcast:
    """What an application asks for."""

    stream_mode: StreamMode
    has_audio: bool
    has_video: bool
    tag: str
    resolution: str
    max_duration_s: int
    max_bitrate: int | None
    layout: Mapping[str, object]
    hls: WantedHls | None
    rtmp: tuple[WantedRtmp, ...]


class Broadcasts:
    """Implements `BroadcastHost`. Used on the event loop only."""

    def __init__(self, parts: BroadcastParts) -> None:
        self._parts = parts
        self._store = parts.store.broadcasts
        self._tools = RunTools(parts.clock, parts.schedule, parts.settings, parts.styles)
        self._runs: dict[str, BroadcastRun] = {}
        self._starting: set[str] = set()
        self._writes = OrderedWrites(parts.sleep)
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        parts.stops.offer(Stoppable(self._projects, self._stop_here))

    # --- the application's calls ------------------------------------------------------------

    def check_available(self) -> None:
        """Errors: `feature_unavailable` if this server does not broadcast."""
        if self._parts.egress is None or not self._parts.settings.enabled:
            raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE)

    async def start(
        self, project: Project, session: SessionRecord, wanted: WantedBroadcast
    ) -> BroadcastRecord:
        """The broadcast, which runs when this returns.

        Errors: `feature_unavailable`, `invalid_parameter`, `address_refused`, `nobody_connected`,
        `invalid_stylesheet`, `broadcast_running`, `no_capacity`.
        """
        self.check_available()
        if wanted.hls is not None and self._parts.hls is None:
            raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE, NO_HLS)
        rtmp = self._rtmp_outputs(wanted.rtmp)
        for one in rtmp:
            await self._check_address(one.server_url)
        self._occupied(session)
        record = self._new_record(project, session, wanted, rtmp)
        await self._parts.styles.check(frame_of(record), layout_of(record.layout))
        self._starting.add(record.id)
        try:
            await self._parts.folders.make(record)
            try:
                await self._stopped_are_stored(session)
                await self._store.add_broadcast(record)
                if record.hls is not None and self._parts.hls is not None:
                    await self._parts.hls.start()
                self._begin(session, record)
            except BaseException:
                await self._undo(record)
                raise
        except OSError as cause:
            log.error("a broadcast has no folder", reason=cause.strerror)  # noqa: TRY400
            raise Unavailable(ErrorCode.NO_CAPACITY, NO_ROOM) from cause
        finally:
            self._starting.discard(record.id)
        return record

    @staticmethod
    def _rtmp_outputs(wanted: tuple[WantedRtmp, ...]) -> tuple[RtmpOutput, ...]:
        """Errors: `invalid_parameter`."""
        found = tuple(
            RtmpOutput(
                id=one.id or str(uuid.uuid4()),
                server_url=checked_rtmp_url(one.server_url),
                stream_name=one.stream_name,
            )
            for one in wanted
        )
        if len({HLS, *(one.id for one in found)}) != 1 + len(found):
            raise BadRequest(
                ErrorCode.INVALID_PARAMETER,
                "The ids of RTMP targets must differ, and not be 'hls'.",
            )
        return found

    async def _check_address(self, url: str) -> None:
        """A name that does not resolve now may later: its output says so. The process that connects
        checks each address again. Errors: `address_refused`."""
        parts, policy = urlsplit(url), self._parts.targets
        host = parts.hostname or ""
        try:
            policy.check_host(host)
            found = await self._parts.resolve(host, parts.port or _DEFAULT_PORTS[parts.scheme])
        except TargetRefused as refused:
            raise error(ErrorCode.ADDRESS_REFUSED) from refused
        except OSError:
            return
        if found and not any(policy.permits(address) for address in found):
            raise error(ErrorCode.ADDRESS_REFUSED)

    def _new_record(
        self,
        project: Project,
        session: SessionRecord,
        wanted: WantedBroadcast,
        rtmp: tuple[RtmpOutput, ...],
    ) -> BroadcastRecord:
        now_ms = self._parts.unix_ms()
        hls = None
        if wanted.hls is not None:
            key = self._parts.random_bytes(_KEY_BYTES).hex()
            hls = HlsOutput(key, wanted.hls.low_latency, wanted.hls.dvr)
        return BroadcastRecord(
            id=str(uuid.uuid4()),
            project_id=project.api_key,
            session_id=session.session_id,
            stream_mode=wanted.stream_mode,
            has_audio=wanted.has_audio,
            has_video=wanted.has_video,
            tag=wanted.tag,
            resolution=wanted.resolution,
            max_duration_s=wanted.max_duration_s,
            max_bitrate=wanted.max_bitrate,
            layout=wanted.layout,
            hls=hls,
            rtmp=rtmp,
            created_ms=now_ms,
            updated_ms=now_ms,
        )

    def _begin(self, session: SessionRecord, record: BroadcastRecord) -> None:
        """Nothing is awaited from here on: a client that leaves meets a running broadcast."""
        egress = self._parts.egress
        if egress is None or not self._has_room(record):
            raise Unavailable(ErrorCode.NO_CAPACITY, NO_ROOM)
        run = BroadcastRun(record, session, self._occupied(session), self, self._tools)
        self._runs[record.id] = run
        try:
            run.begin(egress, self._parts.job(record))
        except (MediaError, EgressError) as refused:
            del self._runs[record.id]
            raise _refusal(refused) from refused
        self._parts.metrics.egress_starts.labels(FEATURE).inc()
        self._parts.metrics.egress_running.labels(FEATURE).inc()

    def _has_room(self, record: BroadcastRecord) -> bool:
        """On the disk, and beside the other broadcasts of its session and project."""
        settings = self._parts.settings
        running = [run.record for run in self._runs.values()]
        of_session = sum(one.session_id == record.session_id for one in running)
        of_project = sum(one.project_id == record.project_id for one in running)
        return (
            self._parts.folders.free_bytes() >= settings.min_free_mb * _MB
            and of_session < MAX_OF_SESSION
            and of_project < settings.running_per_project
        )

    async def _stopped_are_stored(self, session: SessionRecord) -> None:
        """A broadcast that has just stopped must not be in the way of the next one."""
        for run in list(self._runs.values()):
            record = run.record
            if record.session_id == session.session_id and not record.is_running:
                await self._writes.written(record.id)

    async def _undo(self, record: BroadcastRecord) -> None:
        try:
            await self._store.remove_broadcast(record.id)
        except Unavailable:
            return  # with its folder the record is found and ended by `recover`
        await self._parts.folders.delete(record)

    async def show(self, project: Project, broadcast_id: str) -> BroadcastRecord:
        """Errors: `broadcast_not_found`."""
        run = self._runs.get(broadcast_id)
        record = await self._store.broadcast(broadcast_id) if run is None else run.record
        if record is None or record.project_id != project.api_key:
            raise NotFound(ErrorCode.BROADCAST_NOT_FOUND)
        return record

    async def page(
        self, project: Project, session_id: str | None, offset: int, limit: int
    ) -> tuple[int, tuple[BroadcastRecord, ...]]:
        total, found = await self._store.broadcasts_of(
            project.api_key, session_id, offset=offset, limit=limit
        )
        return total, tuple(
            run.record if (run := self._runs.get(one.id)) is not None else one for one in found
        )

    async def stop(self, project: Project, broadcast_id: str) -> BroadcastRecord:
        """Errors: `broadcast_not_found`, `broadcast_not_running`."""
        record = await self.show(project, broadcast_id)
        if broadcast_id in self._runs:
            return await self._stop_here(broadcast_id)
        if record.is_running and await self._parts.stops.ask(record.project_id, record.id):
            return await self.show(project, broadcast_id)
        raise Conflict(ErrorCode.BROADCAST_NOT_RUNNING)

    async def _stop_here(self, broadcast_id: str) -> BroadcastRecord:
        """Errors: `broadcast_not_running`."""
        run = self._runs.get(broadcast_id)
        if run is None:
            raise Conflict(ErrorCode.BROADCAST_NOT_RUNNING)
        run.handle(BroadcastEvent.STOP)
        record = run.record
        await self._writes.written(broadcast_id)
        return record

    def _projects(self) -> dict[str, str]:
        return {one: run.record.project_id for one, run in self._runs.items()}

    async def set_layout(
        self, project: Project, broadcast_id: str, layout: dict[str, object]
    ) -> BroadcastRecord:
        """Errors: `broadcast_not_found`, `broadcast_not_running`, `invalid_stylesheet`."""
        run = self._running(await self._run_of(project, broadcast_id))
        await self._parts.styles.check(frame_of(run.record), layout_of(layout))
        self._running(run).set_layout(layout)
        self._store_later(run.record)
        return run.record

    async def change_streams(
        self, project: Project, broadcast_id: str, stream: str, selection: Selection | None
    ) -> None:
        """Broadcasts a stream in manual mode, or (None) no longer.

        Errors: `broadcast_not_found`, `stream_mode_auto`, `broadcast_not_running`,
        `stream_not_found`.
        """
        record = await self.show(project, broadcast_id)
        if record.stream_mode is StreamMode.AUTO:
            raise error(ErrorCode.STREAM_MODE_AUTO, ALL_STREAMS)
        run = self._running(await self._run_of(project, broadcast_id))
        if selection is None and StreamId(stream) not in run.selected:
            raise NotFound(ErrorCode.STREAM_NOT_FOUND)
        if selection is not None:
            actor = self._parts.sessions.find(record.session_id)
            if actor is None:
                raise NotFound(ErrorCode.STREAM_NOT_FOUND)
            actor.state.live_stream(stream)
        run.select(StreamId(stream), selection)

    async def _run_of(self, project: Project, broadcast_id: str) -> BroadcastRun:
        """Errors: `broadcast_not_found`; `broadcast_not_running`, also for one of another node."""
        await self.show(project, broadcast_id)
        run = self._runs.get(broadcast_id)
        if run is None:
            raise Conflict(ErrorCode.BROADCAST_NOT_RUNNING)
        return run

    @staticmethod
    def _running(run: BroadcastRun) -> BroadcastRun:
        """Errors: `broadcast_not_running`."""
        if not run.record.is_running:
            raise Conflict(ErrorCode.BROADCAST_NOT_RUNNING)
        return run

    def selected(self, broadcast_id: str) -> dict[StreamId, Selection]:
        """The streams of a broadcast in manual mode, while it runs."""
        run = self._runs.get(broadcast_id)
        return {} if run is None else dict(run.selected)

    def holding(self, stream: str) -> list[BroadcastRecord]:
        """The broadcasts that a stream is in now."""
        return [one.record for one in self._runs.values() if one.holds(StreamId(stream))]

    def hls_url(self, record: BroadcastRecord) -> str | None:
        """Where viewers find the playlist; None without HLS."""
        if record.hls is None:
            return None
        base = self._parts.links.base_url.rstrip("/")
        return f"{base}/hls/{record.id}/{record.hls.key}/index.m3u8"

    def _occupied(self, session: SessionRecord) -> BroadcastSession:
        actor = self._parts.sessions.find(session.session_id)
        if actor is None or not has_announced_connections(actor.state):
            raise NotFound(ErrorCode.NOBODY_CONNECTED)
        return actor

    # --- what broadcasts and viewers say ----------------------------------------------------

    def on_fetched(self, broadcast_id: str) -> None:
        """Somebody watches: the HLS server handed its playlist out."""
        run = self._runs.get(broadcast_id)
        if run is not None:
            run.on_output(HLS, OutputStatus.LIVE.value)

    def on_changed(self, run: BroadcastRun) -> None:
        self._notify(run.owner, run.record)
        self._store_later(run.record)

    def on_over(self, run: BroadcastRun) -> None:
        record, metrics = run.record, self._parts.metrics
        metrics.egress_running.labels(FEATURE).dec()
        if record.status is BroadcastStatus.FAILED:
            metrics.egress_failures.labels(FEATURE, record.reason or "none").inc()
        task = asyncio.create_task(self._end(record))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, record: BroadcastRecord) -> None:
        await self._end_playlist(record)
        await self._writes.written(record.id)
        self._runs.pop(record.id, None)
        self._over.set()

    async def _end_playlist(self, record: BroadcastRecord) -> None:
        """Nobody writes it any more."""
        try:
            await self._parts.folders.end_playlist(record)
        except OSError as cause:
            log.warning("a playlist has no end", reason=cause.strerror)

    def _notify(self, owner: SessionRecord, record: BroadcastRecord) -> None:
        details = broadcast_details(record, self.hls_url(record))
        self._parts.report_event(owner, Notify("broadcast", record.id, broadcast=details))

    def _store_later(self, record: BroadcastRecord) -> None:
        self._writes.later(record.id, lambda: self._store.change_broadcast(record))

    # --- what house-keeping asks ------------------------------------------------------------

    def running(self) -> list[BroadcastRun]:
        return list(self._runs.values())

    def is_in_use(self, broadcast_id: str) -> bool:
        return broadcast_id in self._starting or broadcast_id in self._runs

    async def end_without_room(self) -> None:
        """What a broadcast leaves on the disk is measured: its process handles the bytes of
        participants, and may write more than a playlist."""
        if not self._runs:
            return
        free_bytes = await asyncio.to_thread(self._parts.folders.free_bytes)
        if free_bytes >= self._parts.settings.min_free_mb * _MB // LAST_RESERVE:
            return
        for run in self.running():
            if run.record.is_running:
                run.handle(BroadcastEvent.DISK_FULL)

    async def end_lost(self, owner: SessionRecord, record: BroadcastRecord) -> None:
        """Ends a broadcast that a killed server left."""
        ended = step(record, BroadcastEvent.SERVER_LOST, self._parts.unix_ms())
        if ended is not record:
            await self._end_playlist(record)
            await self._store.change_broadcast(ended)
            self._notify(owner, ended)

    async def close(self, within_s: float) -> None:
        """Stops all broadcasts, and waits for their ends."""
        for run in list(self._runs.values()):
            run.handle(BroadcastEvent.SHUTDOWN)
        try:
            async with asyncio.timeout(within_s):
                while self._runs:
                    self._over.clear()
                    await self._over.wait()
        except TimeoutError:
            log.warning("broadcasts did not end in time", broadcasts=len(self._runs))
        left = self._writes.pending() | self._tasks
        if left:
            _, late = await asyncio.wait(left, timeout=_LAST_WRITES_S)
            for task in late:
                task.cancel()


def _refusal(refused: MediaError | EgressError) -> DomainError:
    if isinstance(refused, EgressError):
        return Unavailable(ErrorCode.NO_CAPACITY, NO_ROOM)
    if refused.code == "clear_media_required":
        return error(ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA)
    return Unavailable(ErrorCode.OVERLOADED)
