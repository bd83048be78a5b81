"""The renders of this node: who starts, stops and shows them, and how many there may be."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from config.render_settings import RenderSettings
from sfu.egress.render_jobs import NodeAddresses, RenderEgress, RenderJob
from sfu.target_policy import TargetPolicy
from signaling.callbacks.names import asking
from signaling.callbacks.of_one import callback_of_one, check_url
from signaling.clock import Clock
from signaling.domain.effects import Notify
from signaling.domain.errors import ErrorCode, NotFound, Unavailable, error
from signaling.domain.features import Feature
from signaling.domain.projects import Project
from signaling.domain.rendering import (
    RenderEvent,
    RenderRecord,
    page_address,
    render_details,
    step,
)
from signaling.domain.session_options import SessionRecord
from signaling.domain.tokens import Admission
from signaling.egress.dialing import Dialer, check_address
from signaling.egress.distant_stops import DistantStops, Stoppable
from signaling.egress.ordered_writes import OrderedWrites, Sleep
from signaling.egress.running_clients import Room, RunningClients, available
from signaling.metrics import Metrics
from signaling.renders.marks import RenderMarks
from signaling.renders.render import Render, RenderTools
from signaling.sessions.context import ReportEvent
from signaling.storage.base import Store

log = structlog.get_logger(__name__)

NO_ROOM = "This server has no room for another render; try again later."
NO_TCP = "This server cannot render pages: its media has no TCP ([media] tcp)."
UNREACHABLE = "The name of the page's host is not known."
GROUP = "render"
RESOLVE_S = 6.0


@dataclass(frozen=True, slots=True)
class RenderParts:
    """`egress` is None if this installation cannot render. `node`: the server's addresses, known
    once it listens. `callback_targets`: where a status may be posted."""

    store: Store
    egress: RenderEgress | None
    tools: RenderTools
    marks: RenderMarks
    dialer: Dialer
    metrics: Metrics
    clock: Clock
    report_event: ReportEvent
    settings: RenderSettings
    node: Callable[[], NodeAddresses]
    callback_targets: TargetPolicy
    stops: DistantStops
    sleep: Sleep = asyncio.sleep


@dataclass(frozen=True, slots=True)
class WantedRender:
    """What an application asks for."""

    url: str = field(repr=False)
    token: str = field(repr=False)
    name: str
    resolution: str
    max_duration_s: int
    callback_url: str = field(default="", repr=False)


class Renders:
    """Used on the event loop only."""

    def __init__(self, parts: RenderParts) -> None:
        settings = parts.settings
        self._parts = parts
        self._store = parts.store.renders
        room = Room(settings.max, settings.running_per_project, NO_ROOM)
        self._running: RunningClients[Render] = RunningClients(Feature.RENDER, room, parts.metrics)
        self._starting: set[str] = set()
        self._writes = OrderedWrites(parts.sleep)
        parts.stops.offer(Stoppable(self._begun, self._stop_here))

    def check_available(self) -> None:
        """Errors: `feature_unavailable` if this server does not render."""
        self._egress()

    def _egress(self) -> RenderEgress:
        return available(self._parts.egress, enabled=self._parts.settings.enabled)

    async def start(self, admission: Admission, wanted: WantedRender) -> RenderRecord:
        """The render, whose browser begins now.

        Errors: `feature_unavailable`, `permission_denied`, `invalid_parameter`, `no_capacity`,
        `address_refused`, `connect_failed`.
        """
        egress, node = self._egress(), self._parts.node()
        if not node.media:
            raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE, NO_TCP)
        if not admission.capabilities.publish:
            raise error(ErrorCode.PERMISSION_DENIED)
        host, port = page_address(wanted.url)
        check_url(wanted.callback_url, self._parts.callback_targets)
        record = self._new_record(admission, wanted)
        render = Render(record, admission, self._changed, self._running.remove, self._parts.tools)
        self._starting.add(record.id)
        try:
            with self._running.starting(render), self._running.refusals():
                asking.set(record.project_id)
                await check_address(self._parts.dialer, host, port, RESOLVE_S, UNREACHABLE)
                await self._store_new(record)
                render.begin(egress, _job(record, wanted.token, node))
        except BaseException:
            # Nobody was told of it; what is stored of it must not look as if it ran.
            self._writes.later(record.id, lambda: self._write(render.record))
            raise
        finally:
            self._starting.discard(record.id)
        return record

    def _new_record(self, admission: Admission, wanted: WantedRender) -> RenderRecord:
        now_ms = self._unix_ms()
        return RenderRecord(
            id=str(uuid.uuid4()),
            project_id=admission.session.project_id,
            session_id=admission.session.session_id,
            url=wanted.url,
            name=wanted.name,
            resolution=wanted.resolution,
            max_duration_s=wanted.max_duration_s,
            created_ms=now_ms,
            updated_ms=now_ms,
            callback_url=wanted.callback_url,
        )

    async def _store_new(self, record: RenderRecord) -> None:
        """Errors: those of a store; `no_capacity` without a disk."""
        try:
            await self._parts.marks.make(record.id)
        except OSError as cause:
            log.error("a render has no mark", reason=cause.strerror)  # noqa: TRY400
            raise Unavailable(ErrorCode.NO_CAPACITY, NO_ROOM) from cause
        await self._store.add_render(record)
        if record.callback_url:
            callback = callback_of_one(
                GROUP, record.id, record.project_id, record.callback_url, record.created_ms
            )
            await self._parts.store.callbacks.add_callback(callback)

    async def show(self, project: Project, render_id: str) -> RenderRecord:
        """Errors: `render_not_found`."""
        render = self._running.find(render_id)
        record = await self._stored(render_id) if render is None else render.record
        if record is None or record.project_id != project.api_key:
            raise NotFound(ErrorCode.RENDER_NOT_FOUND)
        return record

    async def _stored(self, render_id: str) -> RenderRecord | None:
        await self._writes.written(render_id)
        return await self._store.render(render_id)

    async def page(
        self, project: Project, session_id: str | None, offset: int, limit: int
    ) -> tuple[int, tuple[RenderRecord, ...]]:
        total, found = await self._store.renders_of(
            project.api_key, session_id, offset=offset, limit=limit
        )
        return total, tuple(
            render.record if (render := self._running.find(one.id)) is not None else one
            for one in found
        )

    async def stop(self, project: Project, render_id: str) -> RenderRecord:
        """The render, which is over; it may have been before. Errors: `render_not_found`."""
        record = await self.show(project, render_id)
        render = self._running.find(render_id)
        if render is None:
            return await self._stop_elsewhere(record) if record.is_running else record
        render.handle(RenderEvent.STOP)
        await self._writes.written(render_id)
        return render.record

    async def _stop_elsewhere(self, record: RenderRecord) -> RenderRecord:
        """Where its node is gone, so is its browser: its record says from now on that it is over,
        and is all that there is to end."""
        stopped = step(record, RenderEvent.STOP, self._unix_ms())
        if not await self._parts.stops.ask(record.project_id, record.id):
            await self._store.change_render(stopped)
        return await self._store.render(record.id) or stopped

    async def _stop_here(self, render_id: str) -> None:
        render = self._running.find(render_id)
        if render is not None:
            render.handle(RenderEvent.STOP)
            await self._writes.written(render_id)

    def _begun(self) -> dict[str, str]:
        return {one.id: one.project for one in self.running() if one.id not in self._starting}

    def running(self) -> list[Render]:
        return self._running.all()

    def rendered(self, stream: str) -> str | None:
        """The render that publishes a stream now."""
        found = (one.id for one in self._running.all() if one.record.stream_id == stream)
        return next(found, None)

    # --- what becomes of them -----------------------------------------------------------------

    def _changed(self, render: Render) -> None:
        self._note(render.owner, render.record)

    def _note(self, owner: SessionRecord, record: RenderRecord) -> None:
        self._parts.report_event(owner, Notify("render", record.id, render=render_details(record)))
        self._writes.later(record.id, lambda: self._write(record))

    async def _write(self, record: RenderRecord) -> None:
        await self._store.change_render(record)
        if not record.is_running:
            await self._parts.marks.remove(record.id)

    def is_in_use(self, render_id: str) -> bool:
        return render_id in self._starting or self._running.find(render_id) is not None

    async def end_lost(self, render_id: str) -> None:
        """Ends what a killed server left: its browser ended with it."""
        record = await self._stored(render_id)
        owner = None if record is None else await self._parts.store.session(record.session_id)
        if self.is_in_use(render_id):
            return
        if record is None or owner is None or not record.is_running:
            await self._parts.marks.remove(render_id)
            return
        self._note(owner, step(record, RenderEvent.LOST, self._unix_ms()))
        await self._writes.written(render_id)

    def leave(self) -> None:
        """Ends all, with the server."""
        self._running.leave()

    async def close(self) -> None:
        self.leave()
        if self._parts.egress is not None:
            await self._parts.egress.close()
        left = self._writes.pending()
        if left:
            await asyncio.wait(left, timeout=1.0)

    def _unix_ms(self) -> int:
        return int(self._parts.clock.unix_s() * 1000)


def _job(record: RenderRecord, token: str, node: NodeAddresses) -> RenderJob:
    width, height = record.size
    return RenderJob(
        url=record.url,
        api_key=record.project_id,
        session=record.session_id,
        token=token,
        name=record.name,
        width=width,
        height=height,
        node=node,
    )
