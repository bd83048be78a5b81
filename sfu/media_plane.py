"""The seam between admission and forwarding: the media plane as signaling uses it.

SDP, DTLS, handles and the media core stay behind it. `sfu.native_plane` implements it over the
compiled core, a test fake in memory; both pass the same contract tests.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sfu.core_api import Codec, Direction, MediaKind, PreferredLayers, Snapshot, StreamState
from sfu.ids import (
    ConnectionId,
    PublisherHandle,
    SessionId,
    StreamId,
    SubscriberHandle,
    SubscriberId,
    TransportHandle,
)


class MediaError(Exception):
    """A request the media plane refuses. `code` is stable and listed in docs/protocol/errors.md.

    Codes: sdp_invalid, sdp_too_large, codec_unsupported, track_unknown, stream_unknown,
    stream_exists, kids_missing, answer_unexpected, setup_invalid, fingerprint_unsupported,
    ssrc_conflict, subscriptions_exhausted, transport_closed. Of taps alone, which no client asks
    for: clear_media_required.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class TapUplink:
    """The form of the packets that the reader of a tap publishes: Opus at 48 kHz, mono or stereo.
    `audio_level_id`: the header extension of RFC 6464."""

    ssrc: int = 1
    payload_type: int = 111
    audio_level_id: int = 1


TAP_UPLINK = TapUplink()


@dataclass(frozen=True, slots=True)
class TrackOffer:
    """One m-line of the client's offer that belongs to the new stream."""

    mid: str
    kind: MediaKind
    kids: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedTrack:
    mid: str
    kind: MediaKind
    codec: Codec


@dataclass(frozen=True, slots=True)
class PublishAnswer:
    sdp: str
    tracks: tuple[PublishedTrack, ...]


@dataclass(frozen=True, slots=True)
class DownlinkTrack:
    """One m-line of the server's offer, in use by a Subscriber."""

    mid: str
    kind: MediaKind
    codec: Codec
    subscriber: SubscriberId
    stream: StreamId


@dataclass(frozen=True, slots=True)
class DownlinkOffer:
    """`number` increases; the answer must carry it. One offer is outstanding at a time."""

    number: int
    sdp: str
    tracks: tuple[DownlinkTrack, ...]


@dataclass(frozen=True, slots=True)
class SubscribedLayers:
    """The layers of an own video that have subscribers: none unless `subscribed`; with simulcast,
    those in `rids`."""

    mid: str
    subscribed: bool
    rids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TransportDump:
    """One peer of a client, from the control plane's side. `dtls`: state of the handshake."""

    handle: TransportHandle
    direction: Direction
    ice_validated: bool
    dtls: str
    connected: bool


@dataclass(frozen=True, slots=True)
class SubscriptionDump:
    """`started`: the core forwards to it."""

    stream: StreamId
    handle: SubscriberHandle
    mids: tuple[str, ...]
    started: bool


@dataclass(frozen=True, slots=True)
class ClientDump:
    """The media of one Connection. `downlink_media`: m-lines of its downlink."""

    transports: tuple[TransportDump, ...] = ()
    publishers: Mapping[StreamId, PublisherHandle] = field(default_factory=dict)
    subscriptions: Mapping[SubscriberId, SubscriptionDump] = field(default_factory=dict)
    downlink_media: int = 0
    offer_outstanding: bool = False


@dataclass(frozen=True, slots=True)
class TapDump:
    """A tap of the Session, with its subscription to each Stream."""

    handle: TransportHandle
    subscriptions: Mapping[StreamId, SubscriberHandle] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionDump:
    """A snapshot of a Session's media, for diagnosis. `core` is None if no media passes this
    server, or if the session has just ended; `worker` is the number of the core on which it began,
    and `workers` of all on which it is now."""

    session: SessionId
    e2ee: bool = False
    streams: tuple[StreamId, ...] = ()
    connections: Mapping[ConnectionId, ClientDump] = field(default_factory=dict)
    taps: tuple[TapDump, ...] = ()
    worker: int | None = None
    workers: tuple[int, ...] = ()
    core: Snapshot | None = None


class ClientMediaListener(Protocol):
    """Called on the event loop, never re-entrantly from a call into the plane."""

    def on_downlink_offer(self, offer: DownlinkOffer) -> None: ...
    def on_stream_live(self, stream: StreamId) -> None:
        """The uplink of a published stream is connected; the stream can be announced."""

    def on_subscriber_connected(self, subscriber: SubscriberId) -> None:
        """The downlink is connected and the answer that carries the subscriber is applied."""

    def on_active_speaker(self, stream: StreamId) -> None:
        """An own stream became the dominant speaker of its session."""

    def on_not_encrypted(self, stream: StreamId, mid: str, packets: int) -> None: ...
    def on_stream_state(self, subscriber: SubscriberId, state: StreamState) -> None:
        """The state of a subscriber's video changed."""

    def on_subscribed_layers(self, stream: StreamId, layers: SubscribedLayers) -> None:
        """The subscribed layers of an own video changed."""

    def on_transport_lost(self, direction: Direction) -> None:
        """Consent expired or the handshake failed; the transport is closed."""


class ClientMedia(Protocol):
    """The media of one Connection: one uplink and one downlink, each opened when first needed."""

    async def publish(
        self, stream: StreamId, offer_sdp: str, tracks: Sequence[TrackOffer]
    ) -> PublishAnswer:
        """Negotiates the client's offer. It must still contain the m-lines of earlier streams."""

    def publish_through(self, tap: "Tap", *, quietly: bool = False) -> None:
        """The client's uplink is a tap: what it publishes from now on, one audio track at a time,
        comes from the tap's reader in the form of `TAP_UPLINK`; offers and answers are empty.
        With the tap its uplink is lost. `quietly`: nothing is live before `speak_up`. Errors:
        `transport_closed`; `setup_invalid` if it has an uplink already."""

    def speak_up(self) -> None:
        """What is published through a tap quietly is live from now on."""

    def declare_kids(self, stream: StreamId, mid: str, kids: Sequence[bytes]) -> None: ...
    def set_stream_forwarding(
        self, stream: StreamId, kind: MediaKind, forwarding: bool
    ) -> None: ...
    def unpublish(self, stream: StreamId) -> None: ...
    def subscribe(
        self,
        subscriber: SubscriberId,
        stream: StreamId,
        kinds: frozenset[MediaKind],
        codecs: frozenset[Codec],
    ) -> None:
        """Adds a Subscriber; `on_downlink_offer` follows. Calls during an outstanding offer are
        batched into the next one. `codecs` are the codecs that the client can decode:
        `codec_unsupported` if the stream has none of them in the requested kinds."""

    def play(self, subscriber: SubscriberId, stream: StreamId, offer_sdp: str) -> str:
        """Answers a client's own offer to receive one stream, for players without an SDK. The
        client has no other Subscriber. `codec_unsupported` if nothing fits."""

    def answer_downlink(self, number: int, answer_sdp: str) -> None: ...
    def set_subscriber_forwarding(
        self, subscriber: SubscriberId, kind: MediaKind, forwarding: bool
    ) -> None: ...
    def set_preferred_layers(
        self, subscriber: SubscriberId, preferred: PreferredLayers
    ) -> None: ...
    def unsubscribe(self, subscriber: SubscriberId) -> None: ...
    def restart_uplink(self, offer_sdp: str) -> str:
        """Answers an offer with new ICE credentials: the network of the client changed. Streams
        continue unchanged. `transport_closed` without an uplink."""

    def restart_downlink(self) -> None:
        """Gives the next offer new ICE credentials; `on_downlink_offer` follows. Subscribers
        continue unchanged. `transport_closed` without a downlink."""

    def close(self) -> None:
        """Ends both transports and everything published or subscribed on them. Idempotent."""


class TapListener(Protocol):
    """Called on the event loop, never re-entrantly from a call into the plane."""

    def on_stream_gone(self, stream: StreamId) -> None:
        """The publisher of a stream in the tap ended; the stream left the tap."""

    def on_tap_closed(self, reason: str) -> None:
        """It ended without a call of `end` or `close`: its reader closed its end (reader_gone),
        read nothing for very long (reader_stuck) or sent far more than it may (reader_floods), its
        session ended (session_closed), or the media core ended (core_ended) or refused it."""


class Tap(Protocol):
    """A session's clear media on its way to another process of this host, as the records of
    native/rtp/src/tap_record.rs. `child_end` is passed to that process and closed here.

    All records keep their order: an event comes before the media that follows it. A stream in a
    tap counts as watched, and comes with all its layers."""

    handle: TransportHandle
    child_end: socket.socket

    def add(
        self, stream: StreamId, kinds: frozenset[MediaKind], properties: Mapping[str, object]
    ) -> None:
        """Tells the reader of the stream (`properties` are members of `streamAdded`), then passes
        its media on. Errors: `stream_unknown`, `stream_exists`, `track_unknown` if it has no track
        of these kinds, `transport_closed`."""

    def remove(self, stream: StreamId, reason: str) -> None:
        """Ends the stream in the tap, and tells the reader. A stream that is not there is fine."""

    def set_forwarding(self, stream: StreamId, kind: MediaKind, forwarding: bool) -> None:
        """Pauses or resumes one kind of media. Errors: `stream_unknown`."""

    def write(self, event: Mapping[str, object]) -> None:
        """Passes an event to the reader."""

    def when_ended(self, call: Callable[[], None]) -> None:
        """Calls it at once when the tap ends, in whatever way: for a client that publishes
        through it."""

    def end(self) -> None:
        """Ends it behind what the core has passed on. Idempotent."""

    def close(self) -> None:
        """Ends it, and closes `child_end` here. Idempotent."""


class SessionMedia(Protocol):
    def open_tap(self, listener: TapListener) -> Tap:
        """Errors: `clear_media_required` if the session is end-to-end encrypted,
        `transport_closed`."""

    def open_client(
        self, connection: ConnectionId, listener: ClientMediaListener
    ) -> ClientMedia: ...
    async def dump(self) -> SessionDump: ...
    def close(self) -> None: ...


class MediaPlane(Protocol):
    """A node's media plane. `e2ee` is fixed for the lifetime of a session."""

    def open_session(
        self, session: SessionId, *, e2ee: bool, max_publish_bps: int | None = None
    ) -> SessionMedia:
        """`max_publish_bps`: the bitrate that each client is asked not to exceed when
        publishing."""

    def counters(self) -> dict[str, int]: ...
    async def close(self) -> None: ...
