"""The captions of this node: who starts, stops and shows them.

A mark is made and a record stored before the process begins: after a kill at any moment the next
start finds both, and ends them. Each change is reported at once, and stored in order behind the
earlier ones.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from config.caption_settings import CaptionSettings
from sfu.egress.caption_jobs import CaptionEgress
from sfu.target_policy import TargetPolicy
from signaling.callbacks.of_one import KEEP_MS, callback_of_one, check_url
from signaling.captions.marks import Marks
from signaling.captions.run import CaptionedSession, RunTools, SessionCaptions
from signaling.clock import Clock
from signaling.domain.announcing import has_announced_connections
from signaling.domain.captioning import (
    CaptionsEvent,
    CaptionsRecord,
    captions_details,
    language_of,
    step,
)
from signaling.domain.effects import Notify
from signaling.domain.errors import ErrorCode, NotFound, Unavailable, error
from signaling.domain.features import Feature
from signaling.domain.projects import Project
from signaling.domain.session_options import SessionRecord
from signaling.domain.tokens import Admission
from signaling.egress.distant_stops import DistantStops, Stoppable
from signaling.egress.house_keeping import keep_house
from signaling.egress.ordered_writes import OrderedWrites, Sleep
from signaling.egress.running_clients import Room, RunningClients, available
from signaling.metrics import Metrics
from signaling.sessions.actor import SessionActor
from signaling.sessions.context import ReportEvent, Schedule
from signaling.storage.base import Store

log = structlog.get_logger(__name__)

NO_ROOM = "This server has no room for captions of another session; try again later."
GROUP = "captions"
_LAST_WRITES_S = 1.0


class CaptionedSessions(Protocol):
    """The sessions with clients in them. Each of `on_session` is called with each new one."""

    @property
    def on_session(self) -> list[Callable[[SessionActor], None]]: ...
    def find(self, session: str) -> CaptionedSession | None: ...


@dataclass(frozen=True, slots=True)
class CaptionParts:
    """`egress` is None if this installation cannot recognize speech. `callback_targets`: where a
    status may be posted."""

    store: Store
    sessions: CaptionedSessions
    marks: Marks
    egress: CaptionEgress | None
    report_event: ReportEvent
    metrics: Metrics
    clock: Clock
    schedule: Schedule
    settings: CaptionSettings
    callback_targets: TargetPolicy
    stops: DistantStops
    sleep: Sleep = asyncio.sleep


@dataclass(frozen=True, slots=True)
class WantedCaptions:
    """What an application asks for."""

    language: str | None
    partials: bool
    max_duration_s: int
    callback_url: str = field(default="", repr=False)


class Captions:
    """Implements `CaptionsHost`. Used on the event loop only."""

    def __init__(self, parts: CaptionParts) -> None:
        settings = parts.settings
        room = Room(settings.sessions_max, settings.running_per_project, NO_ROOM)
        self._parts = parts
        self._store = parts.store.captions
        self._tools = RunTools(parts.clock, parts.schedule, settings)
        self._running: RunningClients[SessionCaptions] = RunningClients(
            Feature.CAPTIONS, room, parts.metrics
        )
        self._starting: set[str] = set()
        self._ended: dict[str, CaptionsRecord] = {}
        """Those whose end is not stored yet."""
        self._writes = OrderedWrites(parts.sleep)
        parts.stops.offer(Stoppable(self._running.projects, self._stop_here))

    # --- the application's calls ------------------------------------------------------------

    def check_available(self) -> None:
        """Errors: `feature_unavailable` if this server does not caption."""
        self._egress()

    def _egress(self) -> CaptionEgress:
        return available(self._parts.egress, enabled=self._parts.settings.enabled)

    async def start(self, admission: Admission, wanted: WantedCaptions) -> CaptionsRecord:
        """The captions, which run when this returns.

        Errors: `feature_unavailable`, `permission_denied`, `invalid_parameter`, `nobody_connected`,
        `captions_running`, `no_capacity`.
        """
        egress = self._egress()
        if not admission.capabilities.force_mute:
            raise error(ErrorCode.PERMISSION_DENIED)
        record = self._new_record(admission.session, wanted, egress)
        check_url(wanted.callback_url, self._parts.callback_targets)
        self._occupied(admission.session)
        self._starting.add(record.id)
        try:
            await self._parts.marks.add(record.id)
            try:
                await self._ended_are_stored(admission.session)
                await self._store.add_captions(record)
                await self._add_callback(record, wanted.callback_url)
                self._begin(admission.session, record, egress)
            except BaseException:
                await self._undo(record)
                raise
        except OSError as cause:
            log.error("captions have no mark", reason=cause.strerror)  # noqa: TRY400
            raise Unavailable(ErrorCode.NO_CAPACITY, NO_ROOM) from cause
        finally:
            self._starting.discard(record.id)
        return record

    def _new_record(
        self, session: SessionRecord, wanted: WantedCaptions, egress: CaptionEgress
    ) -> CaptionsRecord:
        now_ms = self._tools.unix_ms()
        return CaptionsRecord(
            id=str(uuid.uuid4()),
            project_id=session.project_id,
            session_id=session.session_id,
            language=language_of(wanted.language, egress.languages),
            partials=wanted.partials,
            max_duration_s=wanted.max_duration_s,
            created_ms=now_ms,
            updated_ms=now_ms,
        )

    async def _add_callback(self, record: CaptionsRecord, url: str) -> None:
        """For the status of these captions alone."""
        if url:
            one = callback_of_one(GROUP, record.id, record.project_id, url, record.created_ms)
            await self._parts.store.callbacks.add_callback(one)

    def _occupied(self, session: SessionRecord) -> CaptionedSession:
        actor = self._parts.sessions.find(session.session_id)
        if actor is None or not has_announced_connections(actor.state):
            raise NotFound(ErrorCode.NOBODY_CONNECTED)
        return actor

    async def _ended_are_stored(self, session: SessionRecord) -> None:
        """Captions that have just ended must not be in the way of the next ones."""
        for record in list(self._ended.values()):
            if record.session_id == session.session_id:
                await self._writes.written(record.id)

    def _begin(self, session: SessionRecord, record: CaptionsRecord, egress: CaptionEgress) -> None:
        """Nothing is awaited from here on: a client that leaves meets running captions."""
        run = SessionCaptions(record, session, self._occupied(session), self, self._tools)
        with self._running.starting(run), self._running.refusals():
            run.begin(egress)

    async def _undo(self, record: CaptionsRecord) -> None:
        try:
            await self._parts.store.callbacks.remove_callback(record.project_id, record.id)
            await self._store.remove_captions(record.id)
        except Unavailable:
            return  # with its mark the record is found and ended by `recover`
        await self._parts.marks.remove(record.id)

    async def show(self, project: Project, captions_id: str) -> CaptionsRecord:
        """Errors: `captions_not_found`."""
        run = self._running.find(captions_id)
        record = self._ended.get(captions_id) if run is None else run.record
        record = record or await self._store.captions(captions_id)
        if record is None or record.project_id != project.api_key:
            raise NotFound(ErrorCode.CAPTIONS_NOT_FOUND)
        return record

    async def stop(self, project: Project, captions_id: str) -> CaptionsRecord:
        """Errors: `captions_not_found`, also for those that have ended."""
        record = await self.show(project, captions_id)
        if self._running.find(captions_id) is not None:
            return await self._stop_here(captions_id)
        if record.is_running and await self._parts.stops.ask(record.project_id, record.id):
            return await self.show(project, captions_id)
        raise NotFound(ErrorCode.CAPTIONS_NOT_FOUND)

    async def _stop_here(self, captions_id: str) -> CaptionsRecord:
        """Errors: `captions_not_found`."""
        run = self._running.find(captions_id)
        if run is None:
            raise NotFound(ErrorCode.CAPTIONS_NOT_FOUND)
        run.handle(CaptionsEvent.STOP)
        await self._writes.written(captions_id)
        return run.record

    def hearing(self, stream: str) -> list[CaptionsRecord]:
        """The captions that hear a stream now."""
        return [run.record for run in self._running.all() if run.hears(stream)]

    def unix_ms(self) -> int:
        return self._tools.unix_ms()

    # --- what captions say ------------------------------------------------------------------

    def on_changed(self, run: SessionCaptions) -> None:
        record = run.record
        self._notify(run.owner, record)
        if not record.is_running:
            self._ended[record.id] = record
            self._writes.later(record.id, lambda: self._store_end(record))

    def on_over(self, run: SessionCaptions) -> None:
        self._running.remove(run, run.failure)

    async def _store_end(self, record: CaptionsRecord) -> None:
        await self._store.change_captions(record)
        self._ended.pop(record.id, None)
        await self._parts.marks.remove(record.id)

    def _notify(self, owner: SessionRecord, record: CaptionsRecord) -> None:
        details = captions_details(record, self.unix_ms())
        self._parts.report_event(owner, Notify("captions", record.id, captions=details))

    # --- what house-keeping asks ------------------------------------------------------------

    async def recover(self) -> None:
        """Ends what this node's marks say to run, and nothing runs: a killed server left it.

        Errors: `storage_unavailable`, `OSError`."""
        for captions_id in await self._parts.marks.all():
            if self._is_in_use(captions_id):
                continue
            record = await self._store.captions(captions_id)
            owner = None if record is None else await self._parts.store.session(record.session_id)
            if self._is_in_use(captions_id):
                continue
            if record is not None and owner is not None:
                await self._end_lost(owner, record)
            await self._parts.marks.remove(captions_id)

    async def _end_lost(self, owner: SessionRecord, record: CaptionsRecord) -> None:
        ended = step(record, CaptionsEvent.SERVER_LOST, self.unix_ms())
        if ended is not record:
            await self._store.change_captions(ended)
            self._notify(owner, ended)

    def _is_in_use(self, captions_id: str) -> bool:
        is_running = self._running.find(captions_id) is not None
        return is_running or captions_id in self._starting or captions_id in self._ended

    async def stop_orphans(self) -> None:
        """Stops the captions of projects that were removed: nobody else can.

        Errors: `storage_unavailable`."""
        for run in self._running.all():
            if not await self._parts.store.project_named(run.project):
                run.handle(CaptionsEvent.SHUTDOWN)

    async def forget_callbacks(self) -> None:
        """Errors: `storage_unavailable`."""
        await self._store.forget_callbacks(self.unix_ms() - KEEP_MS)

    async def keep_house(self) -> None:
        """Runs until it is cancelled."""
        chores: dict[str, Callable[[], Awaitable[None]]] = {
            "ending captions of an earlier run": self.recover,
            "stopping captions": self.stop_orphans,
            "forgetting callbacks": self.forget_callbacks,
        }
        await keep_house(chores, self._parts.sleep)

    async def close(self) -> None:
        """Ends all captions while their sessions last."""
        for run in self._running.all():
            run.handle(CaptionsEvent.SHUTDOWN)
        if pending := self._writes.pending():
            _, late = await asyncio.wait(pending, timeout=_LAST_WRITES_S)
            for task in late:
                task.cancel()
