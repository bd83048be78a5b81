"""The parts of a Session: one on each worker that forwards for its clients."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from sfu import core_api
from sfu.client_media import NativeClientMedia
from sfu.client_records import PublishedStream
from sfu.core_api import (
    DownTrackSnapshot,
    ForwardingSnapshot,
    PayloadAccess,
    Snapshot,
    UpTrackSnapshot,
)
from sfu.ids import ConnectionId, PublisherHandle, RouterHandle, StreamId, TransportHandle
from sfu.peer_transport import PlaneContext
from sfu.trunk import Trunk


class WholeSession(Protocol):
    """The session of a part."""

    e2ee: bool
    max_publish_bps: int | None
    streams: dict[StreamId, PublishedStream]
    parts: "list[SessionPart]"

    def forget_client(self, connection: ConnectionId) -> None: ...
    def forget_tap(self, handle: TransportHandle) -> None: ...


class SessionPart:
    """A Session on one core. Implements `SessionStreams` for the clients there: they see all
    streams of the session, each published there or come over a trunk."""

    def __init__(self, session: WholeSession, context: PlaneContext) -> None:
        self.context = context
        self.handle = RouterHandle(context.router.next_handle())
        self.clients: dict[ConnectionId, NativeClientMedia] = {}
        self.trunks: dict[StreamId, Trunk] = {}
        self._session = session
        access = PayloadAccess.OPAQUE if session.e2ee else PayloadAccess.CLEAR
        context.router.submit(core_api.OpenRouter(self.handle, access))
        context.sessions.add(self.handle)
        for published in session.streams.values():
            self.trunks[published.stream] = Trunk(published, self)

    @property
    def e2ee(self) -> bool:
        return self._session.e2ee

    @property
    def max_publish_bps(self) -> int | None:
        return self._session.max_publish_bps

    @property
    def streams(self) -> Mapping[StreamId, PublishedStream]:
        return self._session.streams

    @property
    def leader(self) -> "SessionPart":
        """The first part: taps are there, for each stream comes to each part, and it names the
        dominant speaker, for each part hears all."""
        return self._session.parts[0]

    @property
    def leads(self) -> bool:
        return self.leader is self

    @property
    def sinks(self) -> int:
        """The streams that it sends to clients. One that receives nothing yet counts as one: people
        who come at once join first and receive then."""
        downlinks = (client.downlink for client in self.clients.values())
        return sum(max(1, len(downlink.subscriptions)) for downlink in downlinks)

    def add_stream(self, published: PublishedStream) -> None:
        self._session.streams[published.stream] = published
        for other in self._session.parts:
            if other is not self:
                other.trunks[published.stream] = Trunk(published, other)

    def remove_stream(self, published: PublishedStream) -> None:
        del self._session.streams[published.stream]
        for part in self._session.parts:
            part.lose_stream(published.stream)

    def lose_stream(self, stream: StreamId) -> None:
        trunk = self.trunks.pop(stream, None)
        if trunk is not None:
            trunk.close()

    def handle_of(self, published: PublishedStream) -> PublisherHandle:
        trunk = self.trunks.get(published.stream)
        return published.handle if trunk is None else trunk.handle

    def trunks_of(self, stream: StreamId) -> Sequence[Trunk]:
        found = (part.trunks.get(stream) for part in self._session.parts)
        return [trunk for trunk in found if trunk is not None]

    def forget_client(self, connection: ConnectionId) -> None:
        self._session.forget_client(connection)

    def forget_tap(self, handle: TransportHandle) -> None:
        self._session.forget_tap(handle)

    async def snapshot(self) -> Snapshot | None:
        return await self.context.router.snapshot(self.handle)

    def close(self) -> None:
        """Ends it in the core, with the trunks to it. Its clients have ended."""
        for stream in list(self.trunks):
            self.lose_stream(stream)
        self.context.sessions.discard(self.handle)
        self.context.submit_ending(core_api.CloseRouter(self.handle))


def joined(snapshots: Iterable[Snapshot], parts: Iterable[SessionPart]) -> Snapshot | None:
    """The snapshots of a session's parts as one: a stream is listed where it is published, and
    whoever receives it over a trunk receives it. None without a snapshot."""
    known = list(snapshots)
    if len(known) < 2:
        return known[0] if known else None
    origins = {
        trunk.handle: part.streams[stream].handle
        for part in parts
        for stream, trunk in part.trunks.items()
    }
    first = known[0].forwarding
    every = [one.forwarding for one in known]
    speaker = first.dominant_speaker
    totals: dict[str, int] = {}
    for one in every:
        for name, total in one.counters.items():
            totals[name] = totals.get(name, 0) + total
    forwarding = ForwardingSnapshot(
        access=first.access,
        up_tracks=tuple(_published(every, origins)),
        down_tracks=tuple(_received(every, origins)),
        dominant_speaker=None if speaker is None else origins.get(speaker, speaker),
        downlinks=tuple(link for one in every for link in one.downlinks),
        counters=totals,
    )
    transports = tuple(peer for one in known for peer in one.transports)
    return Snapshot(known[0].router, transports, forwarding)


_Origins = Mapping[PublisherHandle, PublisherHandle]


def _published(every: list[ForwardingSnapshot], origins: _Origins) -> Iterable[UpTrackSnapshot]:
    rows = (row for one in every for row in one.up_tracks)
    return (row for row in rows if row.publisher not in origins)


def _received(every: list[ForwardingSnapshot], origins: _Origins) -> Iterable[DownTrackSnapshot]:
    for one in every:
        for row in one.down_tracks:
            yield replace(row, publisher=origins.get(row.publisher, row.publisher))
