"""The media plane over the media core: sessions, and who is told of which event."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from sfu import commands, events
from sfu.client_media import NativeClientMedia
from sfu.client_records import PublishedStream
from sfu.commands import PayloadAccess
from sfu.dtls import DtlsIdentity
from sfu.events import Event
from sfu.ids import (
    ConnectionId,
    PublisherHandle,
    RouterHandle,
    SessionId,
    StreamId,
    SubscriberHandle,
    TransportHandle,
)
from sfu.media_plane import ClientMediaListener, MediaError
from sfu.media_router import MediaRouter, NativeMediaRouter, WorkerSettings
from sfu.peer_transport import MediaPlaneSettings, PeerTransport, PlaneContext, Scheduler

__all__ = ["MediaPlaneSettings", "NativeMediaPlane", "NativeSessionMedia", "WorkerSettings"]

log = logging.getLogger(__name__)


class NativeSessionMedia:
    """One Session's media. `e2ee` decides what the core may ever read of its payloads."""

    def __init__(self, plane: "NativeMediaPlane", session: SessionId, *, e2ee: bool) -> None:
        self.session = session
        self.e2ee = e2ee
        self.max_publish_bps: int | None = None
        self.streams: dict[StreamId, PublishedStream] = {}
        self.clients: dict[ConnectionId, NativeClientMedia] = {}
        self.handle = RouterHandle(plane.context.router.next_handle())
        self._plane = plane
        self._closed = False
        access = PayloadAccess.OPAQUE if e2ee else PayloadAccess.CLEAR
        plane.context.router.submit(commands.OpenRouter(self.handle, access))

    def open_client(
        self, connection: ConnectionId, listener: ClientMediaListener
    ) -> NativeClientMedia:
        if self._closed:
            raise MediaError("transport_closed", "the session's media is closed")
        if connection in self.clients:
            raise ValueError("the connection has its media already")
        client = NativeClientMedia(self._plane.context, self, connection, listener)
        self.clients[connection] = client
        return client

    def forget_client(self, connection: ConnectionId) -> None:
        self.clients.pop(connection, None)

    async def dump(self) -> dict[str, object]:
        """Everything known of the session: here, and in the core (`core`)."""
        core = None if self._closed else await self._plane.context.router.dump(self.handle)
        return {
            "session": self.session,
            "e2ee": self.e2ee,
            "streams": sorted(self.streams),
            "connections": {name: client.dump() for name, client in self.clients.items()},
            "core": core,
        }

    def close(self) -> None:
        """Ends all clients' media, then the session in the core. Idempotent."""
        if self._closed:
            return
        for client in list(self.clients.values()):
            client.close()
        self._closed = True
        self._plane.context.submit_ending(commands.CloseRouter(self.handle))
        self._plane.sessions.pop(self.session, None)


class NativeMediaPlane:
    """Implements `MediaPlane`. `open` makes one with a core of its own on the running loop."""

    def __init__(
        self, router: MediaRouter, settings: MediaPlaneSettings, scheduler: Scheduler | None = None
    ) -> None:
        self.context = PlaneContext(
            router, scheduler or asyncio.get_running_loop(), settings, DtlsIdentity()
        )
        self.sessions: dict[SessionId, NativeSessionMedia] = {}
        router.listen(self._on_events)

    @classmethod
    def open(cls, worker: WorkerSettings, settings: MediaPlaneSettings) -> "NativeMediaPlane":
        """A plane with a core that listens on `worker`'s address. Raises `OSError`."""
        return cls(NativeMediaRouter(worker, asyncio.get_running_loop()), settings)

    def open_session(
        self, session: SessionId, *, e2ee: bool, max_publish_bps: int | None = None
    ) -> NativeSessionMedia:
        if session in self.sessions:
            raise ValueError("the session is open already")
        opened = NativeSessionMedia(self, session, e2ee=e2ee)
        opened.max_publish_bps = max_publish_bps
        self.sessions[session] = opened
        return opened

    def counters(self) -> dict[str, int]:
        """The core's totals, and ours: `handshakes.<result>`, `transports_lost.<reason>`,
        `commands_failed.<command>`, `dtls_discarded_records`, `dtls_before_ice`."""
        return self.context.router.counters() | dict(self.context.totals)

    async def close(self) -> None:
        for session in list(self.sessions.values()):
            session.close()
        self.context.router.close()

    def _on_events(self, batch: Sequence[Event]) -> None:
        for event in batch:
            try:
                _EVENT_HANDLERS[type(event)](self, event)
            except Exception:
                # one client's trouble must not cost the others their events
                log.exception("an event of the media core could not be handled")

    def _transport(self, handle: TransportHandle) -> PeerTransport | None:
        return self.context.transports.get(handle)

    def _on_ice_validated(self, event: events.IceValidated) -> None:
        if transport := self._transport(event.transport):
            transport.handle_ice_validated()

    def _on_dtls_datagram(self, event: events.DtlsDatagram) -> None:
        if transport := self._transport(event.transport):
            transport.handle_dtls(event.datagram)

    def _on_consent_expired(self, event: events.ConsentExpired) -> None:
        if transport := self._transport(event.transport):
            transport.handle_consent_expired()

    def _on_source_active(self, _: events.SourceActive) -> None:
        self.context.totals["sources_active"] += 1

    def _on_dominant_speaker(self, event: events.DominantSpeaker) -> None:
        published = self.context.publishers.get(event.publisher)
        if published is not None:
            published.speaks()

    def _on_not_encrypted(self, event: events.NotEncrypted) -> None:
        published = self.context.publishers.get(event.publisher)
        if published is not None:
            published.not_encrypted(event.mid, event.packets)

    def _on_video_supply(self, event: events.VideoSupplyChanged) -> None:
        subscription = self.context.subscribers.get(event.subscriber)
        if subscription is not None:
            subscription.video_supply(event.supply)

    def _on_video_demand(self, event: events.VideoDemandChanged) -> None:
        published = self.context.publishers.get(event.publisher)
        if published is not None:
            published.video_demand(event.mid, event.wanted)

    def _on_command_failed(self, event: events.CommandFailed) -> None:
        """What could not be made in the core is closed here too: never half alive. Commands
        about things that ended meanwhile only count."""
        self.context.totals[f"commands_failed.{event.command}"] += 1
        log.warning("command %s of %d failed: %s", event.command, event.handle, event.reason)
        transport = self._transport(TransportHandle(event.handle))
        published = self.context.publishers.get(PublisherHandle(event.handle))
        subscription = self.context.subscribers.get(SubscriberHandle(event.handle))
        if event.command in ("open_transport", "set_srtp_keys") and transport is not None:
            transport.handle_command_failed()
        elif event.command == "publish" and published is not None:
            published.publish_failed()
        elif event.command == "subscribe" and subscription is not None:
            subscription.subscribe_failed()


_EVENT_HANDLERS: dict[type[Event], Callable[[NativeMediaPlane, Any], None]] = {
    events.IceValidated: NativeMediaPlane._on_ice_validated,  # noqa: SLF001
    events.DtlsDatagram: NativeMediaPlane._on_dtls_datagram,  # noqa: SLF001
    events.ConsentExpired: NativeMediaPlane._on_consent_expired,  # noqa: SLF001
    events.SourceActive: NativeMediaPlane._on_source_active,  # noqa: SLF001
    events.DominantSpeaker: NativeMediaPlane._on_dominant_speaker,  # noqa: SLF001
    events.NotEncrypted: NativeMediaPlane._on_not_encrypted,  # noqa: SLF001
    events.VideoSupplyChanged: NativeMediaPlane._on_video_supply,  # noqa: SLF001
    events.VideoDemandChanged: NativeMediaPlane._on_video_demand,  # noqa: SLF001
    events.CommandFailed: NativeMediaPlane._on_command_failed,  # noqa: SLF001
}
