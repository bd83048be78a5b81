"""Records of a client's streams and subscriptions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from sfu.core_api import DownTrackParameters, MediaKind, PreferredLayers, StreamState
from sfu.ids import (
    ConnectionId,
    PublisherHandle,
    RouterHandle,
    StreamId,
    SubscriberHandle,
    SubscriberId,
    TransportHandle,
)
from sfu.media_plane import ClientMediaListener, MediaError, SubscribedLayers, SubscriptionDump
from sfu.peer_transport import PeerTransport, PlaneContext
from sfu.rtp_parameters import AcceptedDownTrack, NegotiatedMedia, down_track_parameters
from sfu.sdp.errors import SdpError
from sfu.sdp.slots import Slot


class StreamOwner(Protocol):
    """The uplink that a published stream belongs to."""

    def report_speaking(self, stream: StreamId) -> None: ...
    def report_not_encrypted(self, stream: StreamId, mid: str, packets: int) -> None: ...
    def report_subscribed_layers(self, stream: StreamId, layers: SubscribedLayers) -> None: ...
    def publish_failed(self) -> None: ...


class SubscriptionOwner(Protocol):
    """The downlink that a subscription belongs to."""

    def report_stream_state(self, subscriber: SubscriberId, state: StreamState) -> None: ...
    def unsubscribe(self, subscriber: SubscriberId) -> None: ...


class StreamReceiver(Protocol):
    """A subscription to a stream: a client's or a tap's."""

    def publisher_ended(self) -> None:
        """Ends it, here and in the core."""


@dataclass(slots=True)
class PublishedStream:
    """A stream of one client. `home`: the part of its session in which it is published.
    `subscriptions` to it, in the core or not, by handle."""

    stream: StreamId
    owner: StreamOwner
    handle: PublisherHandle
    media: Mapping[str, NegotiatedMedia]
    home: "SessionStreams"
    live: bool = False
    subscriptions: "dict[int, StreamReceiver]" = field(default_factory=dict)

    def speaks(self) -> None:
        if self.home.leads:
            self.owner.report_speaking(self.stream)

    def not_encrypted(self, mid: str, packets: int) -> None:
        self.owner.report_not_encrypted(self.stream, mid, packets)

    def subscribed_layers(self, mid: str, subscribed: Sequence[str | None]) -> None:
        rids = tuple(rid for rid in subscribed if rid is not None)
        self.owner.report_subscribed_layers(
            self.stream, SubscribedLayers(mid, bool(subscribed), rids)
        )

    def publish_failed(self) -> None:
        self.owner.publish_failed()

    def mids(self, kind: MediaKind) -> list[str]:
        return [mid for mid, media in self.media.items() if media.kind is kind]


@dataclass(slots=True)
class Subscription:
    """A subscription of this client. It starts in the core once the downlink is connected and
    the client has accepted at least one of its m-lines (`down_tracks`)."""

    subscriber: SubscriberId
    owner: SubscriptionOwner
    published: PublishedStream
    handle: SubscriberHandle
    slots: tuple[tuple[Slot, str], ...]
    down_tracks: tuple[DownTrackParameters, ...] = ()
    started: bool = False
    held_back: set[MediaKind] = field(default_factory=set)
    preferred: PreferredLayers | None = None

    def dump(self) -> SubscriptionDump:
        mids = tuple(slot.mid for slot, _ in self.slots)
        return SubscriptionDump(self.published.stream, self.handle, mids, self.started)

    def accept(self, answered: Mapping[str, AcceptedDownTrack]) -> None:
        """Stores the client's answer to its m-lines, once."""
        if not self.down_tracks:
            self.down_tracks = tuple(
                down_track_parameters(answered[slot.mid], up_track_mid)
                for slot, up_track_mid in self.slots
                if slot.mid in answered
            )

    def stream_state(self, state: StreamState) -> None:
        self.owner.report_stream_state(self.subscriber, state)

    def publisher_ended(self) -> None:
        self.owner.unsubscribe(self.subscriber)

    def subscribe_failed(self) -> None:
        """The core has no such subscriber, so only this side has to end it."""
        self.started = False
        self.owner.unsubscribe(self.subscriber)


class StreamTrunk(Protocol):
    """A stream's way to another part of its session."""

    def set_forwarding(self, mid: str, forwarding: bool) -> None: ...


class SessionStreams(Protocol):
    """What a client needs of its session: the part of it on the client's core. `leader`: the part
    with the taps; it alone says who speaks, and `leads`."""

    context: PlaneContext
    handle: RouterHandle

    @property
    def e2ee(self) -> bool: ...
    @property
    def max_publish_bps(self) -> int | None: ...
    @property
    def streams(self) -> Mapping[StreamId, PublishedStream]: ...
    @property
    def leader(self) -> "SessionStreams": ...
    @property
    def leads(self) -> bool: ...
    def add_stream(self, published: PublishedStream) -> None:
        """It is published here, and comes to all other parts."""

    def remove_stream(self, published: PublishedStream) -> None: ...
    def handle_of(self, published: PublishedStream) -> PublisherHandle:
        """The publisher that a stream is here."""

    def trunks_of(self, stream: StreamId) -> Sequence[StreamTrunk]: ...
    def forget_client(self, connection: ConnectionId) -> None: ...
    def forget_tap(self, handle: TransportHandle) -> None: ...


@dataclass(slots=True)
class ClientContext:
    """What both directions of one client share, and whether it has ended. `session`: another part
    of it, after the core of the first has ended."""

    session: SessionStreams
    connection: ConnectionId
    listener: ClientMediaListener
    closed: bool = False

    @property
    def plane(self) -> PlaneContext:
        return self.session.context

    def check_open(self) -> None:
        if self.closed:
            raise MediaError("transport_closed", "the connection's media is closed")

    def notify(self, call: Callable[[], None]) -> None:
        """Calls the listener later, on the loop: never from within one of its own calls."""

        def unless_closed() -> None:
            if not self.closed:
                call()

        self.plane.scheduler.call_soon(unless_closed)

    def notify_lost(self, transport: PeerTransport) -> None:
        self.notify(lambda: self.listener.on_transport_lost(transport.direction))


@contextmanager
def media_errors() -> Iterator[None]:
    """Turns a refusal by the SDP layer into the contract's error, without its traceback."""
    try:
        yield
    except SdpError as error:
        raise MediaError(error.code, error.message) from None


def live_media(streams: Mapping[StreamId, PublishedStream]) -> dict[str, NegotiatedMedia]:
    """The m-lines in use, by mid."""
    return {mid: media for stream in streams.values() for mid, media in stream.media.items()}
