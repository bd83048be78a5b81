"""Server to client: answers to requests, and events of the session."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from signaling.protocol.parts import (
    Capabilities,
    ConnectionInfo,
    Dimensions,
    DownlinkTrack,
    EndReason,
    Hint,
    IceServer,
    LeaveReason,
    Message,
    RequestId,
    SessionInfo,
    StreamInfo,
    TrackInfo,
)


class Ok(Message, frozen=True):
    """The request succeeded; it has no further result."""

    re: RequestId


class Error(Message, frozen=True):
    """A failure; `re` is absent if no request caused it. `code` is stable, `name` is the error that
    the SDKs raise (see the table in docs/protocol/errors.md), `number` is OpenTok's code."""

    code: Annotated[str, Meta(max_length=64)]
    name: Annotated[str, Meta(max_length=64)]
    number: int
    message: Annotated[str, Meta(max_length=1_000)]
    re: RequestId | None = None


class Welcome(Message, frozen=True):
    """The answer to `Hello`. The client presents `resume` in the next `Hello` to resume this
    connection. `connections` includes the client's own; `hints` names the secrets in use.
    `last_request` is the last request that arrived over earlier WebSockets; later ones were
    lost."""

    re: RequestId
    connection: ConnectionInfo
    session: SessionInfo
    capabilities: Capabilities
    connections: tuple[ConnectionInfo, ...]
    streams: tuple[StreamInfo, ...]
    resume: str
    resumed: bool
    keep_alive_ms: int
    grace_ms: int
    ice_servers: tuple[IceServer, ...] = ()
    hints: dict[str, Hint] = msgspec.field(default_factory=dict)
    mute_forced: bool = False
    last_request: RequestId | None = None


class Published(Message, frozen=True):
    """The answer to `Publish`. `StreamCreated` follows when media can flow. In a relayed session
    `answer` and `tracks` are empty, and `StreamCreated` follows at once."""

    re: RequestId
    stream_id: str
    answer: str
    tracks: tuple[TrackInfo, ...]


class Subscribed(Message, frozen=True):
    """The Subscriber exists; the `DownlinkOffer` that follows negotiates its media."""

    re: RequestId
    subscriber_id: str
    stream_id: str


class DownlinkOffer(Message, frozen=True):
    """The server's offer for the downlink. One is outstanding at a time; `offer_id` increases."""

    offer_id: int
    sdp: str
    tracks: tuple[DownlinkTrack, ...]


class ActiveSpeaker(Message, frozen=True):
    """The active speaker changed, according to the audio levels in packet headers (RFC 6464)."""

    stream_id: str


class IceRestarted(Message, frozen=True):
    """The answer to the offer of a `RestartIce` for the uplink."""

    re: RequestId
    answer: str


class SubscriberConnected(Message, frozen=True):
    """The Subscriber's downlink is connected and its answer applied."""

    subscriber_id: str


class PeerSubscribed(Message, frozen=True):
    """Relayed sessions, to a publisher: `connection_id` subscribed to one of its streams, or
    changed which of its media it receives. The publisher makes a peer connection for each
    Subscriber and offers."""

    subscriber_id: str
    stream_id: str
    connection_id: str
    audio: bool
    video: bool


class PeerUnsubscribed(Message, frozen=True):
    """Relayed sessions, to a publisher: a Subscriber to one of its streams ended."""

    subscriber_id: str


class PeerDescriptionReceived(Message, frozen=True):
    """Relayed sessions: the `PeerDescription` that the other end of a Subscriber sent."""

    subscriber_id: str
    type: Literal["offer", "answer"]
    sdp: str


class PeerCandidateReceived(Message, frozen=True):
    """Relayed sessions: the `PeerCandidate` that the other end of a Subscriber sent."""

    subscriber_id: str
    candidate: str
    mid: str


class ConnectionCreated(Message, frozen=True):
    """Another client joined."""

    connection: ConnectionInfo


class ConnectionDestroyed(Message, frozen=True):
    """A client left; its streams were destroyed before."""

    connection_id: str
    reason: LeaveReason


class StreamCreated(Message, frozen=True):
    """Sent to all clients, including the publisher, when the stream's media can flow."""

    stream: StreamInfo


class StreamDestroyed(Message, frozen=True):
    """A stream ended."""

    stream_id: str
    reason: EndReason


class StreamPropertyChanged(Message, frozen=True):
    """Properties of a stream changed; only those are present."""

    stream_id: str
    has_audio: bool | None = None
    has_video: bool | None = None
    video_dimensions: Dimensions | None = None
    has_captions: bool | None = None


class ArchiveStarted(Message, frozen=True):
    """The session is being archived; also sent to clients that join while it is. Never in an
    end-to-end encrypted session: the server cannot record what it cannot decrypt."""

    id: Annotated[str, Meta(max_length=64)]
    name: str


class ArchiveStopped(Message, frozen=True):
    """An archive of the session stopped."""

    id: Annotated[str, Meta(max_length=64)]
    name: str


class CaptionReceived(Message, frozen=True):
    """What was said on a stream, to those that subscribed to its captions. Until one `is_final`,
    each replaces the one before. Never in an end-to-end encrypted session: the server cannot
    caption what it cannot decrypt."""

    stream_id: str
    caption: Annotated[str, Meta(max_length=1_000)]
    is_final: bool


class SignalReceived(Message, frozen=True):
    """A signal. `from` is absent if the REST API sent it; such a signal is never encrypted."""

    from_: str | None = msgspec.field(default=None, name="from")
    type: str | None = None
    data: str | None = None
    encrypted: bytes | None = None


class MuteForced(Message, frozen=True):
    """Sent to a publisher whose stream was muted (`stream_id`), or to all when `active` changed."""

    active: bool
    stream_id: str | None = None


class NotEncrypted(Message, frozen=True):
    """The server dropped packets of the client's own stream because they were not encrypted with a
    declared key."""

    stream_id: str
    mid: str
    packets: int


class StreamStateChanged(Message, frozen=True):
    """What a Subscriber's path carries of its video: `ok`, `limited` (about to be paused) or
    `paused`."""

    subscriber_id: str
    state: Literal["ok", "limited", "paused"]


class SubscribedLayersChanged(Message, frozen=True):
    """Which encodings of the client's own video are subscribed: none unless `subscribed`; with
    simulcast only those in `rids`. The client need not encode the others. A new stream is
    subscribed completely."""

    stream_id: str
    mid: str
    subscribed: bool
    rids: tuple[str, ...]


class HintAnnounced(Message, frozen=True):
    """Another connection is ready for the secret that `hint` names. Sent to clients that publish,
    and to those that subscribe to that connection's streams."""

    connection_id: str
    hint: Hint


class TransportLost(Message, frozen=True):
    """A transport ended, and with it everything that was published or subscribed on it. Publish or
    subscribe again."""

    direction: Literal["uplink", "downlink"]


class Disconnected(Message, frozen=True):
    """The last message: the server closes the WebSocket after it."""

    reason: Literal[LeaveReason, "serverShutdown"]


class Pong(Message, frozen=True):
    """The answer to `Ping`."""

    re: RequestId


ServerMessage = (
    Ok
    | Error
    | Welcome
    | Published
    | Subscribed
    | DownlinkOffer
    | IceRestarted
    | ActiveSpeaker
    | SubscriberConnected
    | PeerSubscribed
    | PeerUnsubscribed
    | PeerDescriptionReceived
    | PeerCandidateReceived
    | ConnectionCreated
    | ConnectionDestroyed
    | StreamCreated
    | StreamDestroyed
    | StreamPropertyChanged
    | ArchiveStarted
    | ArchiveStopped
    | CaptionReceived
    | SignalReceived
    | MuteForced
    | NotEncrypted
    | StreamStateChanged
    | SubscribedLayersChanged
    | HintAnnounced
    | TransportLost
    | Disconnected
    | Pong
)
