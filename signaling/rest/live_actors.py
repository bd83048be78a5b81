"""REST's access to the live sessions of this node, through their actors."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from sfu.ids import ConnectionId, StreamId
from sfu.media_view import read_media
from signaling.clock import Clock
from signaling.domain import commands
from signaling.domain.announcing import has_announced_connections
from signaling.domain.errors import ErrorCode, NotFound
from signaling.domain.session_options import SessionRecord
from signaling.domain.session_state import Bucket
from signaling.rest.live_sessions import Counts, LiveConnection, LiveSession, LiveStream
from signaling.sessions.actor import SessionActor
from signaling.sessions.directory import SessionDirectory
from signaling.sessions.explain import Readings, explain
from signaling.sessions.explanation import Explanation

MEASURE_S = 1.0
"""Time between the two readings of an explanation: long enough to measure bitrates."""
EXPLANATIONS_PER_S = 5.0
EXPLANATIONS_AT_ONCE = 20.0
"""Limits for all projects together. Reading a large session briefly delays packets in the media
core."""
OWN_PER_S = 2.5
OWN_AT_ONCE = 10.0
"""The same of one project, so that it leaves some to the others."""


class LiveActors:
    """Implements `LiveSessions`. A session without an actor is empty; REST creates no actor."""

    def __init__(
        self,
        directory: SessionDirectory,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._sleep = sleep
        self._explanations = Bucket(EXPLANATIONS_AT_ONCE, self._now_ms())
        self._of_project: dict[str, Bucket] = {}

    def counts(self) -> Counts:
        states = [actor.state for actor in self._directory.actors()]
        return Counts(
            sessions=len(states),
            connections=sum(len(state.connections) for state in states),
            streams=sum(len(state.streams) for state in states),
        )

    async def signal(
        self, record: SessionRecord, to: str | None, type_: str | None, data: str
    ) -> None:
        connection = None if to is None else ConnectionId(to)
        actor = self._occupied(record)
        actor.apply(commands.RestSignal(type=type_, data=data, to=connection))

    async def sessions(self, project_id: str) -> Sequence[LiveSession]:
        found = [
            LiveSession(
                state.record,
                connections=sum(member.announced for member in state.connections.values()),
                streams=sum(stream.live for stream in state.streams.values()),
            )
            for state in (actor.state for actor in self._directory.actors())
            if state.record.project_id == project_id and has_announced_connections(state)
        ]
        return sorted(found, key=lambda one: (one.record.created_ms, one.record.session_id))

    async def streams(self, record: SessionRecord) -> Sequence[LiveStream]:
        actor = self._directory.find(record.session_id)
        if actor is None:
            return ()
        return tuple(
            LiveStream(
                stream_id=stream_id,
                video_type=stream.info.video_type,
                name=stream.info.name,
                layout_classes=stream.layout_classes,
            )
            for stream_id, stream in actor.state.streams.items()
            if stream.live
        )

    async def connections(self, record: SessionRecord) -> Sequence[LiveConnection]:
        actor = self._directory.find(record.session_id)
        if actor is None:
            return ()
        return tuple(
            LiveConnection(connection_id, member.info.creation_time)
            for connection_id, member in actor.state.connections.items()
            if member.announced
        )

    async def set_layout_classes(
        self, record: SessionRecord, classes: dict[str, tuple[str, ...]]
    ) -> None:
        actor = self._directory.find(record.session_id)
        if actor is None:
            if classes:
                raise NotFound(ErrorCode.STREAM_NOT_FOUND)
            return
        changes = tuple((StreamId(stream), names) for stream, names in classes.items())
        actor.apply(commands.SetLayoutClasses(changes))

    async def force_disconnect(self, record: SessionRecord, connection_id: str) -> None:
        actor = self._directory.find(record.session_id)
        if actor is None:
            raise NotFound(ErrorCode.CONNECTION_NOT_FOUND)
        actor.apply(commands.RestForceDisconnect(ConnectionId(connection_id)))

    async def force_mute_stream(self, record: SessionRecord, stream_id: str) -> None:
        actor = self._directory.find(record.session_id)
        if actor is None:
            raise NotFound(ErrorCode.STREAM_NOT_FOUND)
        actor.apply(commands.RestMuteStream(StreamId(stream_id)))

    async def force_mute_all(
        self, record: SessionRecord, *, active: bool, excluded: tuple[str, ...]
    ) -> None:
        streams = tuple(StreamId(stream) for stream in excluded)
        self._directory.mute_all(record.session_id, active=active, excluded=streams)

    async def explain(self, record: SessionRecord, stream_id: str) -> Explanation:
        actor = self._directory.find(record.session_id)
        if actor is None:
            raise NotFound(ErrorCode.STREAM_NOT_FOUND)
        actor.state.live_stream(stream_id)
        self._take_explanation(record.project_id)
        begin_s = self._clock.monotonic_s()
        before = read_media(await actor.dump_media())
        await self._sleep(MEASURE_S)
        after = read_media(await actor.dump_media())
        end_s = self._clock.monotonic_s()
        measured_s = max(end_s - begin_s, MEASURE_S)
        readings = Readings(before, after, measured_s, int(end_s * 1000))
        return explain(actor.state, StreamId(stream_id), readings)

    def _take_explanation(self, project: str) -> None:
        """Errors: `rate_limited`."""
        now_ms = self._now_ms()
        own = self._of_project.setdefault(project, Bucket(OWN_AT_ONCE, now_ms))
        own.take(now_ms, OWN_PER_S, OWN_AT_ONCE)
        self._explanations.take(now_ms, EXPLANATIONS_PER_S, EXPLANATIONS_AT_ONCE)

    def _now_ms(self) -> int:
        return int(self._clock.monotonic_s() * 1000)

    def _occupied(self, record: SessionRecord) -> SessionActor:
        actor = self._directory.find(record.session_id)
        if actor is None or not has_announced_connections(actor.state):
            raise NotFound(ErrorCode.NOBODY_CONNECTED)
        return actor
