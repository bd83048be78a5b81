"""Server to client: answers and what happens in the session."""

from typing import Literal

import msgspec

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
    """The request was carried out and there is nothing more to say."""

    re: RequestId


class Error(Message, frozen=True):
    """`re` is absent when no request caused it. `code` is stable, `name` is what the SDKs
    raise (docs/protocol/errors.md has the table), `number` the numeric code of OpenTok."""

    code: str
    name: str
    number: int
    message: str
    re: RequestId | None = None


class Welcome(Message, frozen=True):
    """`resume` is presented in the next `Hello` to resume this connection.
    `connections` includes the client's own; `hints` names the secrets in use. `last_request` is
    the last request that came over the WebSockets before: later ones did not come."""

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
    """The answer to the offer of a `Publish`. `StreamCreated` follows once media can flow. In a
    relayed session `answer` and `tracks` are empty and `StreamCreated` follows at once."""

    re: RequestId
    stream_id: str
    answer: str
    tracks: tuple[TrackInfo, ...]


class Subscribed(Message, frozen=True):
    """The Subscriber exists; its media is negotiated by the `DownlinkOffer` that follows."""

    re: RequestId
    subscriber_id: str
    stream_id: str


class DownlinkOffer(Message, frozen=True):
    """The server's offer for the downlink. One is outstanding at a time; `number` counts up."""

    number: int
    sdp: str
    tracks: tuple[DownlinkTrack, ...]


class ActiveSpeaker(Message, frozen=True):
    """Another stream is the one that speaks: by the audio levels of packet headers (RFC 6464)."""

    stream_id: str


class IceRestarted(Message, frozen=True):
    """The answer to the offer of a `RestartIce` for the uplink."""

    re: RequestId
    answer: str


class SubscriberConnected(Message, frozen=True):
    """The downlink of a Subscriber is connected and its answer applied."""

    subscriber_id: str


class PeerWanted(Message, frozen=True):
    """Relayed sessions, to a publisher: `connection_id` subscribed to an own stream, or changed
    what it wants of it. The publisher makes a peer connection for each Subscriber and offers."""

    subscriber_id: str
    stream_id: str
    connection_id: str
    audio: bool
    video: bool


class PeerGone(Message, frozen=True):
    """Relayed sessions, to a publisher: a Subscriber of an own stream ended."""

    subscriber_id: str


class PeerDescriptionReceived(Message, frozen=True):
    """Relayed sessions: what the other end of a Subscriber sent as `PeerDescription`."""

    subscriber_id: str
    type: Literal["offer", "answer"]
    sdp: str


class PeerCandidateReceived(Message, frozen=True):
    """Relayed sessions: what the other end of a Subscriber sent as `PeerCandidate`."""

    subscriber_id: str
    candidate: str
    mid: str


class ConnectionCreated(Message, frozen=True):
    """Another client joined."""

    connection: ConnectionInfo


class ConnectionDestroyed(Message, frozen=True):
    """A client is gone; its streams were destroyed before."""

    connection_id: str
    reason: LeaveReason


class StreamCreated(Message, frozen=True):
    """Sent to everybody, the publisher too, once the stream's media can flow."""

    stream: StreamInfo


class StreamDestroyed(Message, frozen=True):
    stream_id: str
    reason: EndReason


class StreamPropertyChanged(Message, frozen=True):
    """Only what changed is in it."""

    stream_id: str
    has_audio: bool | None = None
    has_video: bool | None = None
    video_dimensions: Dimensions | None = None


class SignalReceived(Message, frozen=True):
    """`from_` is absent when the REST API sent it; such a signal is always in clear."""

    from_: str | None = msgspec.field(default=None, name="from")
    type: str | None = None
    data: str | None = None
    sealed: bytes | None = None


class MuteForced(Message, frozen=True):
    """To a publisher whose stream was muted (`stream_id`), or to all when `active` changed."""

    active: bool
    stream_id: str | None = None


class NotEncrypted(Message, frozen=True):
    """The server dropped packets of an own stream: no declared key encrypted them."""

    stream_id: str
    mid: str
    packets: int


class VideoSupplyChanged(Message, frozen=True):
    """What the link carries of a subscriber's video: `scarce` warns, `paused` holds it back."""

    subscriber_id: str
    supply: Literal["enough", "scarce", "paused"]


class VideoDemandChanged(Message, frozen=True):
    """What of an own video is worth sending: nothing unless `watched`; of several encodings, only
    `rids`. What is left out need not be encoded. A new stream is wanted whole."""

    stream_id: str
    mid: str
    watched: bool
    rids: tuple[str, ...]


class HintAnnounced(Message, frozen=True):
    """Another connection is ready for the secret that `hint` names. Told to clients that publish,
    and to those that subscribe to it."""

    connection_id: str
    hint: Hint


class TransportLost(Message, frozen=True):
    """A transport ended. What was published or subscribed on it is gone; do it again."""

    direction: Literal["uplink", "downlink"]


class Disconnected(Message, frozen=True):
    """The last message: the server closes the WebSocket after it."""

    reason: Literal[LeaveReason, "serverShutdown"]


class Pong(Message, frozen=True):
    """The server is there."""

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
    | PeerWanted
    | PeerGone
    | PeerDescriptionReceived
    | PeerCandidateReceived
    | ConnectionCreated
    | ConnectionDestroyed
    | StreamCreated
    | StreamDestroyed
    | StreamPropertyChanged
    | SignalReceived
    | MuteForced
    | NotEncrypted
    | VideoSupplyChanged
    | VideoDemandChanged
    | HintAnnounced
    | TransportLost
    | Disconnected
    | Pong
)
