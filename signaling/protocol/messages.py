"""The signaling protocol, version 1: one type per message.

The table in this file is the specification: the codec decodes by it, `docs/protocol.md` and
the browser SDK's types are generated from it. On the wire a message is a map with the tag
`t`, camelCase names and no unknown members. A client numbers its requests with `id`; the
answer repeats it as `re`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

SUBPROTOCOL_MSGPACK = "sealroute.v1.msgpack"
SUBPROTOCOL_JSON = "sealroute.v1.json"

RequestId = Annotated[int, Meta(ge=0, lt=2**31)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Mid = Annotated[str, Meta(min_length=1, max_length=16)]
Kid = Annotated[bytes, Meta(min_length=8, max_length=8)]
Hint = Annotated[int, Meta(ge=0, lt=2**16)]
Sdp = Annotated[str, Meta(max_length=131_072)]
Name = Annotated[str, Meta(max_length=1_000)]
MediaKind = Literal["audio", "video"]
FrameRate = Annotated[float, Meta(ge=0, le=1_000)]
Count = Annotated[int, Meta(ge=0, lt=2**53)]
VideoType = Literal["camera", "screen", "custom"]
ClientCodec = Literal["opus", "vp8", "vp9", "h264", "av1"]
LeaveReason = Literal["clientDisconnected", "forceDisconnected", "networkDisconnected"]
EndReason = Literal[LeaveReason, "forceUnpublished", "mediaStopped"]


class Value(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of messages. Unknown members are ignored so that parts can grow."""


class Message(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    tag_field="t",
    tag=lambda name: name[0].lower() + name[1:],
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """A message of either direction."""


class Request(Message, frozen=True, kw_only=True):
    """Client to server; answered by `Ok`, a message of its own with `re`, or `Error`."""

    id: RequestId


# --- parts -----------------------------------------------------------------------------


class SdkInfo(Value, frozen=True):
    """The client library, for diagnosis."""

    name: Annotated[str, Meta(max_length=64)]
    version: Annotated[str, Meta(max_length=32)]


class E2eeSupport(Value, frozen=True):
    """What the client can do on sealed sessions. `signals`: it opens sealed signals."""

    formats: Annotated[tuple[Annotated[str, Meta(max_length=16)], ...], Meta(max_length=8)]
    signals: bool = False


class Dimensions(Value, frozen=True):
    """Pixels."""

    width: Annotated[int, Meta(ge=0, le=16_384)]
    height: Annotated[int, Meta(ge=0, le=16_384)]


class TrackOffer(Value, frozen=True):
    """`kids`: the SFrame key ids this track will use; needed on sealed sessions."""

    mid: Mid
    kind: MediaKind
    kids: Annotated[tuple[Kid, ...], Meta(max_length=8)] = ()


class TrackInfo(Value, frozen=True):
    """One m-line of a published stream, as negotiated."""

    mid: str
    kind: MediaKind
    codec: ClientCodec


class DownlinkTrack(Value, frozen=True):
    """One m-line of the server's offer, in use by a Subscriber."""

    mid: str
    kind: MediaKind
    codec: ClientCodec
    subscriber_id: str
    stream_id: str


class ConnectionInfo(Value, frozen=True):
    """A client in the session. `creation_time` in Unix milliseconds; `data` as its token has it."""

    connection_id: str
    creation_time: int
    data: str = ""


class StreamInfo(Value, frozen=True):
    """A published stream. `creation_time` in Unix milliseconds; `codecs` by kind of track."""

    stream_id: str
    connection_id: str
    creation_time: int
    name: str = ""
    has_audio: bool = False
    has_video: bool = False
    video_type: VideoType | None = None
    video_dimensions: Dimensions | None = None
    frame_rate: float | None = None
    codecs: dict[MediaKind, ClientCodec] = {}


class Capabilities(Value, frozen=True):
    """1 = allowed, 0 = not, as OpenTok.js has them."""

    publish: int
    subscribe: int
    signal: int
    force_unpublish: int
    force_disconnect: int
    force_mute: int


class IceServer(Value, frozen=True):
    """As in `RTCConfiguration.iceServers`."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


class SessionInfo(Value, frozen=True):
    """`e2ee` and the media mode never change during the life of a session."""

    session_id: str
    e2ee: bool
    media_mode: Literal["routed", "relayed"]


# --- client to server -------------------------------------------------------------------


class Hello(Request, frozen=True):
    """The first message. Answered by `Welcome`. `resume` takes up a connection that lost its
    WebSocket within the grace time; the media goes on meanwhile."""

    api_key: Annotated[str, Meta(max_length=64)]
    session_id: Annotated[str, Meta(max_length=255)]
    token: Annotated[str, Meta(max_length=8_192)]
    sdk: SdkInfo
    e2ee: E2eeSupport | None = None
    codecs: Annotated[tuple[ClientCodec, ...], Meta(max_length=16)] = ("opus", "vp8")
    resume: Annotated[str, Meta(max_length=128)] | None = None


class Publish(Request, frozen=True):
    """Answered by `Published`. `offer` is the whole offer of the client's uplink, with the
    m-lines of streams it already publishes."""

    offer: Sdp
    tracks: Annotated[tuple[TrackOffer, ...], Meta(min_length=1, max_length=2)]
    name: Name = ""
    video_type: VideoType | None = None
    has_audio: bool = True
    has_video: bool = True
    video_dimensions: Dimensions | None = None
    frame_rate: FrameRate | None = None
    e2ee_format: Annotated[str, Meta(max_length=16)] | None = None


class Unpublish(Request, frozen=True):
    """Ends an own stream; the others get `StreamDestroyed`."""

    stream_id: Id


class UpdateStream(Request, frozen=True):
    """Properties of an own stream; the others get `StreamPropertyChanged`. A forced mute is lifted
    by `has_audio` true only after `has_audio` false and while no mute of all is in force; else
    the audio stays held back and `MuteForced` says so again."""

    stream_id: Id
    has_audio: bool | None = None
    has_video: bool | None = None
    video_dimensions: Dimensions | None = None


class DeclareKids(Request, frozen=True):
    """Replaces the key ids of one track: old and new ones while a secret change overlaps."""

    stream_id: Id
    mid: Mid
    kids: Annotated[tuple[Kid, ...], Meta(min_length=1, max_length=8)]


class Subscribe(Request, frozen=True):
    """Answered by `Subscribed`; a `DownlinkOffer` follows."""

    stream_id: Id
    audio: bool = True
    video: bool = True
    preferred_resolution: Dimensions | None = None
    preferred_frame_rate: FrameRate | None = None


class DownlinkAnswer(Request, frozen=True):
    """The answer to the `DownlinkOffer` with the same `number`."""

    number: Count
    sdp: Sdp


class UpdateSubscriber(Request, frozen=True):
    """`null` dimensions or rate = automatic; a missing member stays as it was."""

    subscriber_id: Id
    audio: bool | msgspec.UnsetType = msgspec.UNSET
    video: bool | msgspec.UnsetType = msgspec.UNSET
    preferred_resolution: Dimensions | msgspec.UnsetType | None = msgspec.UNSET
    preferred_frame_rate: FrameRate | msgspec.UnsetType | None = msgspec.UNSET


class Unsubscribe(Request, frozen=True):
    """Ends an own Subscriber; a `DownlinkOffer` without it follows."""

    subscriber_id: Id


class Signal(Request, frozen=True):
    """To all (also the sender), or to one connection. Either `data` in clear or, on sealed
    sessions, `sealed` bytes that only members with the secret can open; with neither, `data` is
    empty. `type` has letters, digits, `-`, `_` and `~` only."""

    to: Id | None = None
    type: str | None = None
    data: str | None = None
    sealed: bytes | None = None


class ForceDisconnect(Request, frozen=True):
    """Moderators: ends another connection."""

    connection_id: Id


class ForceUnpublish(Request, frozen=True):
    """Moderators: ends a stream; its publisher stays connected."""

    stream_id: Id


class ForceMuteStream(Request, frozen=True):
    """Moderators: mutes the audio of one stream; its publisher gets `MuteForced`."""

    stream_id: Id


class ForceMuteAll(Request, frozen=True):
    """Moderators: mutes all streams but the excluded (the own ones too), and later ones when they
    are published. `active` false ends it: streams published from then on are not muted."""

    active: bool
    excluded_stream_ids: Annotated[tuple[Id, ...], Meta(max_length=3_000)] = ()


class E2eeReady(Request, frozen=True):
    """The client can open frames under the secret that `hint` names (e2ee/1 5.3, 5.9)."""

    hint: Hint


class E2eeState(Request, frozen=True):
    """What a Subscriber's decryption sees, on sealed sessions only. On `mismatch` its video is held
    back until `ok`, until this client announces another hint (`E2eeReady`) or the stream's hints
    change (`DeclareKids`). Counts are totals, for diagnosis only."""

    subscriber_id: Id
    state: Literal["mismatch", "ok"]
    opened: Count = 0
    failed: Count = 0


class Ping(Request, frozen=True):
    """Sent every `keepAliveMs`; answered by `Pong`."""


class Bye(Request, frozen=True):
    """Leaves at once, without the grace time of a lost WebSocket."""


# --- server to client -------------------------------------------------------------------


class Ok(Message, frozen=True):
    """The request was carried out and there is nothing more to say."""

    re: RequestId


class Error(Message, frozen=True):
    """`re` is absent when no request caused it. `code` is stable, `name` is what the SDKs
    raise (docs/protocol.md has the table), `number` the numeric code of OpenTok."""

    code: str
    name: str
    number: int
    message: str
    re: RequestId | None = None


class Welcome(Message, frozen=True):
    """`resume` is presented in the next `Hello` to take up this connection again.
    `connections` includes the client's own; `hints` names the secrets in use."""

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
    hints: dict[str, Hint] = {}
    mute_forced: bool = False


class Published(Message, frozen=True):
    """The answer to the offer of a `Publish`. `StreamCreated` follows once media can flow."""

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


class SubscriberConnected(Message, frozen=True):
    """The downlink of a Subscriber is connected and its answer applied."""

    subscriber_id: str


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
    """The seal guard dropped packets of an own stream: they were not sealed with a declared key."""

    stream_id: str
    mid: str
    packets: int


class HintAnnounced(Message, frozen=True):
    """Another connection is ready for the secret that `hint` names."""

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


ClientMessage = (
    Hello
    | Publish
    | Unpublish
    | UpdateStream
    | DeclareKids
    | Subscribe
    | DownlinkAnswer
    | UpdateSubscriber
    | Unsubscribe
    | Signal
    | ForceDisconnect
    | ForceUnpublish
    | ForceMuteStream
    | ForceMuteAll
    | E2eeReady
    | E2eeState
    | Ping
    | Bye
)

ServerMessage = (
    Ok
    | Error
    | Welcome
    | Published
    | Subscribed
    | DownlinkOffer
    | SubscriberConnected
    | ConnectionCreated
    | ConnectionDestroyed
    | StreamCreated
    | StreamDestroyed
    | StreamPropertyChanged
    | SignalReceived
    | MuteForced
    | NotEncrypted
    | HintAnnounced
    | TransportLost
    | Disconnected
    | Pong
)
