"""The media of one Connection over the compiled core: what it publishes and what it receives."""

from collections.abc import Sequence

from sfu.client_downlink import ClientDownlink
from sfu.client_records import ClientContext, SessionStreams
from sfu.client_uplink import ClientUplink
from sfu.core_api import Codec, MediaKind, PreferredLayers
from sfu.ids import ConnectionId, StreamId, SubscriberId
from sfu.media_plane import (
    ClientDump,
    ClientMediaListener,
    PublishAnswer,
    Tap,
    TrackOffer,
)


class NativeClientMedia:
    """Implements `ClientMedia` with a `ClientUplink` and a `ClientDownlink`."""

    def __init__(
        self,
        session: SessionStreams,
        connection: ConnectionId,
        listener: ClientMediaListener,
    ) -> None:
        self._context = ClientContext(session, connection, listener)
        self.uplink = ClientUplink(self._context)
        self.downlink = ClientDownlink(self._context)

    # --- publishing ------------------------------------------------------------------------

    async def publish(
        self, stream: StreamId, offer_sdp: str, tracks: Sequence[TrackOffer]
    ) -> PublishAnswer:
        return self.uplink.publish(stream, offer_sdp, tracks)

    def publish_through(self, tap: Tap, *, quietly: bool = False) -> None:
        self.uplink.publish_through(tap, quietly=quietly)

    def speak_up(self) -> None:
        self.uplink.speak_up()

    def declare_kids(self, stream: StreamId, mid: str, kids: Sequence[bytes]) -> None:
        self.uplink.declare_kids(stream, mid, kids)

    def set_stream_forwarding(self, stream: StreamId, kind: MediaKind, forwarding: bool) -> None:
        self.uplink.set_stream_forwarding(stream, kind, forwarding)

    def unpublish(self, stream: StreamId) -> None:
        self.uplink.unpublish(stream)

    def restart_uplink(self, offer_sdp: str) -> str:
        return self.uplink.restart(offer_sdp)

    # --- subscribing -----------------------------------------------------------------------

    def subscribe(
        self,
        subscriber: SubscriberId,
        stream: StreamId,
        kinds: frozenset[MediaKind],
        codecs: frozenset[Codec],
    ) -> None:
        self.downlink.subscribe(subscriber, stream, kinds, codecs)

    def play(self, subscriber: SubscriberId, stream: StreamId, offer_sdp: str) -> str:
        return self.downlink.play(subscriber, stream, offer_sdp)

    def answer_downlink(self, number: int, answer_sdp: str) -> None:
        self.downlink.answer(number, answer_sdp)

    def set_subscriber_forwarding(
        self, subscriber: SubscriberId, kind: MediaKind, forwarding: bool
    ) -> None:
        self.downlink.set_subscriber_forwarding(subscriber, kind, forwarding)

    def set_preferred_layers(self, subscriber: SubscriberId, preferred: PreferredLayers) -> None:
        self.downlink.set_preferred_layers(subscriber, preferred)

    def unsubscribe(self, subscriber: SubscriberId) -> None:
        self.downlink.unsubscribe(subscriber)

    def restart_downlink(self) -> None:
        self.downlink.restart()

    # --- life ------------------------------------------------------------------------------

    def core_ended(self) -> None:
        """The core of its part has ended: so have its transports, and what they carried."""
        for transport in (self.uplink.transport, self.downlink.transport):
            if transport is not None:
                transport.handle_core_ended()

    def move(self, session: SessionStreams) -> None:
        """Its next transports are in another part. It has none now."""
        self._context.session = session

    def close(self) -> None:
        if self._context.closed:
            return
        self.uplink.close()
        self.downlink.close()
        self._context.closed = True
        self._context.session.forget_client(self._context.connection)

    def dump(self) -> ClientDump:
        uplink, downlink = self.uplink, self.downlink
        transports = [t for t in (uplink.transport, downlink.transport) if t is not None]
        return ClientDump(
            transports=tuple(transport.dump() for transport in transports),
            publishers={name: one.handle for name, one in uplink.published.items()},
            subscriptions={one.subscriber: one.dump() for one in downlink.subscriptions.values()},
            downlink_media=downlink.media,
            offer_outstanding=downlink.offer_outstanding,
        )
