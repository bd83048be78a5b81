"""REST's view of the sessions that are live on this node, over their actors."""

from collections.abc import Sequence

from sfu.ids import ConnectionId, StreamId
from signaling.actor import SessionActor
from signaling.directory import SessionDirectory
from signaling.domain import commands
from signaling.domain.errors import ErrorCode, NotFound
from signaling.domain.session_options import SessionRecord
from signaling.rest.live_sessions import Counts, LiveConnection, LiveStream


class LiveActors:
    """Implements `LiveSessions`. A session without an actor is empty; REST makes none."""

    def __init__(self, directory: SessionDirectory) -> None:
        self._directory = directory

    def counts(self) -> Counts:
        states = [actor.state for actor in self._directory.actors()]
        return Counts(
            sessions=len(states),
            connections=sum(len(state.members) for state in states),
            streams=sum(len(state.streams) for state in states),
        )

    async def signal(
        self, record: SessionRecord, to: str | None, type_: str | None, data: str
    ) -> None:
        connection = None if to is None else ConnectionId(to)
        actor = self._occupied(record)
        actor.apply(commands.RestSignal(type=type_, data=data, to=connection))

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
            for connection_id, member in actor.state.members.items()
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
        self._occupied(record).apply(commands.RestMuteAll(active, streams))

    def _occupied(self, record: SessionRecord) -> SessionActor:
        actor = self._directory.find(record.session_id)
        if actor is None or not actor.state.members:
            raise NotFound(ErrorCode.NOBODY_CONNECTED)
        return actor
