"""The Sessions with clients in them."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from config.settings import SignalingSettings
from sfu.ids import SessionId, StreamId
from sfu.media_plane import MediaPlane, SessionMedia
from sfu.no_media import NoSessionMedia
from signaling.clock import Clock
from signaling.domain.commands import RestMuteAll
from signaling.domain.effects import Notify
from signaling.domain.errors import BadRequest, ErrorCode, error
from signaling.domain.projects import Quotas
from signaling.domain.session_ids import project_of
from signaling.domain.session_options import MediaMode, SessionRecord
from signaling.domain.session_state import limits_of
from signaling.ice_servers import IceServers
from signaling.sessions.actor import SessionActor
from signaling.sessions.client_slot import Timer
from signaling.sessions.context import ReportEvent, Schedule, SessionContext
from signaling.sessions.message_sink import MOVED

NO_QUOTAS = Quotas()
MAX_MUTED = 100_000
"""Limit of empty sessions whose mute is remembered (about 20 MB). Above it, the project with the
most loses its oldest, so that no project displaces the mutes of another."""


class _Mutes:
    """The muted empty sessions by project, oldest first."""

    def __init__(self) -> None:
        self._of_project: dict[str, dict[SessionId, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, session: SessionId) -> bool:
        return session in self._of_project.get(_owner_of(session), ())

    def note(self, session: SessionId, *, active: bool) -> None:
        self._forget(_owner_of(session), session)
        if not active:
            return
        if self._count >= MAX_MUTED:
            largest, own = max(self._of_project.items(), key=lambda item: len(item[1]))
            self._forget(largest, next(iter(own)))
        self._of_project.setdefault(_owner_of(session), {})[session] = None
        self._count += 1

    def _forget(self, owner: str, session: SessionId) -> None:
        own = self._of_project.get(owner, {})
        if session in own:
            del own[session]
            self._count -= 1
            if not own:
                del self._of_project[owner]


def _owner_of(session: SessionId) -> str:
    try:
        return project_of(session)
    except BadRequest:
        return ""  # malformed ids share one entry


class SessionDirectory:
    """The Sessions with clients in them, by id. An empty one is kept for the linger time."""

    def __init__(
        self,
        plane: MediaPlane,
        clock: Clock,
        settings: SignalingSettings,
        schedule: Schedule | None = None,
        report_event: ReportEvent | None = None,
        ice_servers: IceServers | None = None,
    ) -> None:
        self._plane = plane
        self._linger_s = settings.linger_ms / 1000
        self._context = SessionContext(
            clock,
            limits_of(settings),
            schedule or asyncio.get_running_loop().call_later,
            report_event or _ignore_event,
            ice_servers or IceServers(),
        )
        self.on_session: list[Callable[[SessionActor], None]] = []
        """Each is called with each session that clients come to."""
        self.on_use: Callable[[str, bool], None] = _ignore_use
        """Called when a session has an actor, and when it has none any more."""
        self._actors: dict[SessionId, SessionActor] = {}
        self._lingering: dict[SessionId, Timer] = {}
        self._muted = _Mutes()
        self._takes_joins = True

    def find(self, session: str) -> SessionActor | None:
        return self._actors.get(SessionId(session))

    def open(self, record: SessionRecord, quotas: Quotas = NO_QUOTAS) -> SessionActor:
        """The actor of a session, created if the session has none.

        Errors: `server_shutdown`, `session_limit`.
        """
        if not self._takes_joins:
            raise error(ErrorCode.SERVER_SHUTDOWN)
        session = SessionId(record.session_id)
        if (timer := self._lingering.pop(session, None)) is not None:
            timer.cancel()
        actor = self._actors.get(session)
        if actor is None:
            self._check_sessions(record.project_id, quotas)
            media = self._open_media(session, record, quotas)
            context = self._context
            if quotas.connections is not None:
                most = min(quotas.connections, context.limits.connections)
                context = replace(context, limits=replace(context.limits, connections=most))
            actor = SessionActor(record, media, context, partial(self._linger, session))
            self._actors[session] = actor
            actor.state.mute_forced = session in self._muted
            self.on_use(session, True)
            for listener in self.on_session:
                listener(actor)
        return actor

    def mute_all(self, session_id: str, *, active: bool, excluded: tuple[StreamId, ...]) -> None:
        """Mutes present and later publishers; an empty session remembers it."""
        session = SessionId(session_id)
        actor = self._actors.get(session)
        if actor is None:
            self._muted.note(session, active=active)
        else:
            actor.apply(RestMuteAll(active, excluded))

    def _check_sessions(self, project_id: str, quotas: Quotas) -> None:
        if quotas.sessions is None:
            return
        taken = sum(
            actor.state.record.project_id == project_id and bool(actor.state.connections)
            for actor in self._actors.values()
        )
        if taken >= quotas.sessions:
            raise error(ErrorCode.SESSION_LIMIT)

    def _open_media(
        self, session: SessionId, record: SessionRecord, quotas: Quotas
    ) -> SessionMedia:
        if record.options.media_mode is MediaMode.RELAYED:
            return NoSessionMedia(session)
        return self._plane.open_session(
            session, e2ee=record.options.e2ee, max_publish_bps=quotas.publish_bps
        )

    def actors(self) -> Iterable[SessionActor]:
        return self._actors.values()

    def _linger(self, session: SessionId) -> None:
        if session not in self._lingering and session in self._actors:
            end = partial(self._end, session)
            self._lingering[session] = self._context.schedule(self._linger_s, end)

    def _end(self, session: SessionId) -> None:
        self._lingering.pop(session, None)
        actor = self._actors.get(session)
        # An archive or a broadcast outlasts a moment without clients; its end comes back here.
        if actor is not None and not actor.state.connections and not actor.is_watched:
            del self._actors[session]
            self._muted.note(session, active=actor.state.mute_forced)
            actor.end("clientDisconnected")
            self.on_use(session, False)

    def let_go(self, session_id: str) -> None:
        """The session lives at another node from now on: its clients find it there."""
        session = SessionId(session_id)
        actor = self._actors.pop(session, None)
        if (timer := self._lingering.pop(session, None)) is not None:
            timer.cancel()
        if actor is not None:
            actor.end(MOVED)
            self.on_use(session, False)

    def refuse_joins(self) -> None:
        """From now on every join is refused with `server_shutdown`; present clients can resume."""
        self._takes_joins = False

    async def close(self) -> None:
        """Disconnects every client with `serverShutdown` and ends all media."""
        self.refuse_joins()
        for timer in self._lingering.values():
            timer.cancel()
        self._lingering.clear()
        for actor in list(self._actors.values()):
            actor.end("serverShutdown")
        self._actors.clear()
        await asyncio.sleep(0)


def _ignore_use(_session: str, _is_used: bool) -> None:
    """Used by a node without others."""


def _ignore_event(_record: SessionRecord, _event: Notify) -> None:
    """Used without callbacks."""
