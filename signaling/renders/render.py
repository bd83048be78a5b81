"""One render while it runs: its process, its maximum, and what becomes of its record.

The browser joins the session like any client, with the caller's token. What its process says of
that is believed only where the session agrees.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from sfu.core_api import MediaKind
from sfu.egress.render_jobs import RenderEgress, RenderEnd, RenderJob, RenderRun
from sfu.ids import ConnectionId, StreamId, short
from sfu.media_plane import SessionDump
from sfu.media_view import read_media
from signaling.clock import Clock
from signaling.domain.commands import Command, Leave
from signaling.domain.rendering import RenderEvent, RenderRecord, RenderStatus, step
from signaling.domain.session_state import SessionState
from signaling.domain.tokens import Admission
from signaling.sessions.client_slot import Timer
from signaling.sessions.context import Schedule

log = structlog.get_logger(__name__)

PATIENCE_BEATS = 10
"""Seconds for a first frame to come where the session has the stream. A page that is published
and sends none is shown as started then: nobody may watch it yet."""
_ENDS = {
    "page": RenderEvent.PAGE,
    "refused": RenderEvent.REFUSED,
    "start": RenderEvent.NO_BROWSER,
    "crashed": RenderEvent.CRASHED,
    "unpublished": RenderEvent.ENDED,
    "process": RenderEvent.LOST,
}


class RenderSession(Protocol):
    """The session as a render sees it."""

    state: SessionState

    def apply(self, command: Command) -> None: ...
    async def dump_media(self) -> SessionDump: ...


@dataclass(frozen=True, slots=True)
class RenderTools:
    """`session`: the one with clients of that id."""

    clock: Clock
    schedule: Schedule
    session: Callable[[str], RenderSession | None]


class Render:
    """Owned by `Renders`. Implements `RenderListener`. `on_change` is called for each new status,
    `on_end` once, with the reason if it is a failure."""

    def __init__(
        self,
        record: RenderRecord,
        admission: Admission,
        on_change: Callable[["Render"], None],
        on_end: Callable[["Render", str | None], None],
        tools: RenderTools,
    ) -> None:
        self.record = record
        self.owner = admission.session
        self._data = admission.connection_data
        self._on_change = on_change
        self._on_end = on_end
        self._tools = tools
        self._run: RenderRun | None = None
        self._timer: Timer | None = None
        self._connection: ConnectionId | None = None
        self._claimed: tuple[ConnectionId, StreamId] | None = None
        self._beats = 0
        self._looking: asyncio.Task[None] | None = None
        self._log = log.bind(render=short(record.id))

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def project(self) -> str:
        return self.record.project_id

    def begin(self, egress: RenderEgress, job: RenderJob) -> None:
        """Errors: `EgressError`."""
        self._run = egress.start(job, self)
        self._timer = self._tools.schedule(
            self.record.max_duration_s, lambda: self.handle(RenderEvent.MAXIMUM)
        )

    def leave(self) -> None:
        """Ends it, with the server or with a start that failed. Idempotent."""
        self.handle(RenderEvent.SHUTDOWN)

    def handle(self, event: RenderEvent, *, text: str = "", stream: str = "") -> None:
        before = self.record
        now_ms = int(self._tools.clock.unix_s() * 1000)
        self.record = step(before, event, now_ms, text=text, stream=stream)
        if self.record is before:
            return
        self._log.info("render", status=self.record.status.value, on=event.value)
        if not self.record.is_running:
            self._finish()
        if self._run is not None:
            self._on_change(self)
        if not self.record.is_running:
            failed = self.record.status is RenderStatus.FAILED
            self._on_end(self, event.value if failed else None)

    def _finish(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()
        if self._run is not None:
            self._run.leave()
        self._end_connection()

    def _end_connection(self) -> None:
        """At once: its browser is gone, and would be waited for."""
        connection, self._connection = self._connection, None
        session = self._tools.session(self.record.session_id)
        if session is not None and connection in session.state.connections:
            session.apply(Leave(connection, "clientDisconnected"))

    # --- what the process says ----------------------------------------------------------------

    def on_published(self, connection: str, stream: str) -> None:
        self._claimed = (ConnectionId(connection), StreamId(stream))
        self._beats = 0
        self.on_beat()

    def on_crashed(self) -> None:
        self._claimed = None
        self._end_connection()

    def on_beat(self) -> None:
        if self._claimed is not None and self._looking is None:
            self._beats += 1
            self._looking = asyncio.get_running_loop().create_task(self._look(*self._claimed))

    def on_over(self, end: RenderEnd) -> None:
        self._claimed = None
        reason = end.text if end.how in ("page", "refused") else ""
        self._log.info("browser over", how=end.how)
        self.handle(_ENDS[end.how], text=reason)

    async def _look(self, connection: ConnectionId, stream: StreamId) -> None:
        """Whether the session has what the process claims to have published."""
        try:
            session = self._tools.session(self.record.session_id)
            if session is not None and self._is_ours(session.state, connection, stream):
                self._connection = connection
                if await self._has_frame(session, stream) or self._beats > PATIENCE_BEATS:
                    self._claimed = None
                    self.handle(RenderEvent.PUBLISHED, stream=stream)
            elif self._beats > PATIENCE_BEATS:
                self._log.warning("the process of a render names what is not there")
                self._claimed = None
                self.handle(RenderEvent.LOST)
        finally:
            self._looking = None

    def _is_ours(self, state: SessionState, connection: ConnectionId, stream: StreamId) -> bool:
        client, published = state.connections.get(connection), state.streams.get(stream)
        return (
            client is not None
            and published is not None
            and published.live
            and published.owner == connection
            and client.info.data == self._data
            and client.info.creation_time >= self.record.created_ms
        )

    @staticmethod
    async def _has_frame(session: RenderSession, stream: StreamId) -> bool:
        view = read_media(await session.dump_media())
        video = view.up_tracks.get(stream, {}).get(MediaKind.VIDEO)
        return video is not None and video.packets > 0
