"""The media plane in memory, for tests of the control plane: same contract, no network.

A test scripts the network: `client.connect(direction)`, `client.lose(direction)`,
`client.report_not_encrypted(...)`; or lets every transport connect once it is negotiated
(`FakeMediaPlane(connect_at_once=True)`).
"""

from sfu.ids import ConnectionId, SessionId, StreamId
from sfu.media_plane import (
    ClientDump,
    ClientMediaListener,
    MediaError,
    SessionDump,
    TapListener,
)

from .client_media import FakeClientMedia, FakeStream
from .taps import FakeTap


class FakeSessionMedia:
    def __init__(self, plane: "FakeMediaPlane", session: SessionId, *, e2ee: bool) -> None:
        self.plane = plane
        self.session = session
        self.e2ee = e2ee
        self.closed = False
        self.clients: dict[ConnectionId, FakeClientMedia] = {}
        self.streams: dict[StreamId, FakeStream] = {}
        self.taps: list[FakeTap] = []

    def open_tap(self, listener: TapListener) -> FakeTap:
        if self.closed:
            raise MediaError("transport_closed", "the session's media is closed")
        if self.e2ee:
            raise MediaError(
                "clear_media_required", "an end-to-end encrypted session has no clear media"
            )
        tap = FakeTap(self, listener)
        self.taps.append(tap)
        return tap

    def find_stream(self, stream: StreamId) -> FakeStream | None:
        return self.streams.get(stream)

    def forget_tap(self, tap: FakeTap) -> None:
        self.taps.remove(tap)

    def open_client(
        self, connection: ConnectionId, listener: ClientMediaListener
    ) -> FakeClientMedia:
        if self.closed:
            raise MediaError("transport_closed", "the session's media is closed")
        if connection in self.clients:
            raise ValueError("the connection has its media already")
        client = FakeClientMedia(self, connection, listener)
        self.clients[connection] = client
        return client

    async def dump(self) -> SessionDump:
        return SessionDump(
            session=self.session,
            e2ee=self.e2ee,
            streams=tuple(sorted(self.streams)),
            connections=dict.fromkeys(self.clients, ClientDump()),
            taps=tuple(tap.dump() for tap in self.taps),
        )

    def close(self) -> None:
        for client in list(self.clients.values()):
            client.close()
        for tap in list(self.taps):
            tap.lose("session_closed")
        self.closed = True
        self.plane.sessions.pop(self.session, None)


class FakeMediaPlane:
    """`sessions[id].clients[id]` gives access to the state that a test scripts or reads."""

    def __init__(self, *, connect_at_once: bool = False) -> None:
        self.connect_at_once = connect_at_once
        self.sessions: dict[SessionId, FakeSessionMedia] = {}
        self.closed = False

    def open_session(
        self,
        session: SessionId,
        *,
        e2ee: bool,
        max_publish_bps: int | None = None,
    ) -> FakeSessionMedia:
        if session in self.sessions:
            raise ValueError("the session is open already")
        opened = FakeSessionMedia(self, session, e2ee=e2ee)
        self.sessions[session] = opened
        return opened

    def client(self, session: SessionId, connection: ConnectionId) -> FakeClientMedia:
        return self.sessions[session].clients[connection]

    def counters(self) -> dict[str, int]:
        return {
            "publishers": sum(len(s.streams) for s in self.sessions.values()),
            "subscribers": sum(
                len(c.subscribers) for s in self.sessions.values() for c in s.clients.values()
            ),
        }

    async def close(self) -> None:
        for session in list(self.sessions.values()):
            session.close()
        self.closed = True
