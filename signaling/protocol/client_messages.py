"""Client to server: one type per request. The bounds are the protocol's limits."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from signaling.protocol.parts import (
    ClientCodec,
    Count,
    Dimensions,
    E2eeSupport,
    FrameRate,
    Hint,
    Id,
    Initials,
    Kid,
    Mid,
    Name,
    PeerCandidateLine,
    PeerSdp,
    Request,
    SdkInfo,
    Sdp,
    TrackOffer,
    VideoType,
)


class Hello(Request, frozen=True):
    """The first message, answered by `Welcome`. `resume` resumes a connection that lost its
    WebSocket, within the grace time; media continues meanwhile. `received` counts the messages that
    came over that WebSocket after its `Welcome`; the server sends later ones again."""

    api_key: Annotated[str, Meta(max_length=64)]
    session_id: Annotated[str, Meta(max_length=255)]
    token: Annotated[str, Meta(max_length=8_192)]
    sdk: SdkInfo
    e2ee: E2eeSupport | None = None
    codecs: Annotated[tuple[ClientCodec, ...], Meta(max_length=16)] = ("opus", "vp8")
    resume: Annotated[str, Meta(max_length=128)] | None = None
    received: Count | None = None


class Publish(Request, frozen=True):
    """Answered by `Published`. `offer` is the complete offer of the client's uplink, including the
    m-lines of streams it already publishes. A relayed session has no uplink and no `offer`: each
    Subscriber is negotiated on its own, see `PeerSubscribed`. `has_captions`: what is said may
    be captioned, if the application starts captions."""

    tracks: Annotated[tuple[TrackOffer, ...], Meta(min_length=1, max_length=2)]
    offer: Sdp = ""
    name: Name = ""
    video_type: VideoType | None = None
    has_audio: bool = True
    has_video: bool = True
    video_dimensions: Dimensions | None = None
    frame_rate: FrameRate | None = None
    has_captions: bool = False
    initials: Initials = ""
    e2ee_format: Annotated[str, Meta(max_length=16)] | None = None


class Unpublish(Request, frozen=True):
    """Ends one of the client's own streams; the other clients get `StreamDestroyed`."""

    stream_id: Id


class UpdateStream(Request, frozen=True):
    """Changes properties of one of the client's own streams; the other clients get
    `StreamPropertyChanged`. `has_audio` true lifts a forced mute only after `has_audio` false, and
    not while all streams are muted; otherwise the audio stays muted and `MuteForced` is sent
    again."""

    stream_id: Id
    has_audio: bool | None = None
    has_video: bool | None = None
    video_dimensions: Dimensions | None = None
    has_captions: bool | None = None


class DeclareKids(Request, frozen=True):
    """Replaces the key ids of one track. During a change of secret it lists old and new ones."""

    stream_id: Id
    mid: Mid
    kids: Annotated[tuple[Kid, ...], Meta(min_length=1, max_length=8)]


class Subscribe(Request, frozen=True):
    """Answered by `Subscribed`; a `DownlinkOffer` follows, or, in a relayed session, a
    `PeerDescriptionReceived` with the publisher's offer. `captions`: `CaptionReceived` is wanted;
    an end-to-end encrypted session has none, and refuses it."""

    stream_id: Id
    audio: bool = True
    video: bool = True
    captions: bool = False
    preferred_resolution: Dimensions | None = None
    preferred_frame_rate: FrameRate | None = None


class DownlinkAnswer(Request, frozen=True):
    """The answer to the `DownlinkOffer` with the same `offer_id`."""

    offer_id: Count
    sdp: Sdp


class RestartIce(Request, frozen=True):
    """Restarts ICE after a network change or failure; streams and Subscribers remain. `uplink`
    needs the client's `offer` with new ICE credentials and is answered by `IceRestarted`.
    `downlink` takes no offer; a `DownlinkOffer` with new credentials follows."""

    direction: Literal["uplink", "downlink"]
    offer: Sdp = ""


class UpdateSubscriber(Request, frozen=True):
    """Changes a Subscriber. `null` dimensions or rate means automatic; an absent member leaves the
    property unchanged."""

    subscriber_id: Id
    audio: bool | msgspec.UnsetType = msgspec.UNSET
    video: bool | msgspec.UnsetType = msgspec.UNSET
    captions: bool | msgspec.UnsetType = msgspec.UNSET
    preferred_resolution: Dimensions | msgspec.UnsetType | None = msgspec.UNSET
    preferred_frame_rate: FrameRate | msgspec.UnsetType | None = msgspec.UNSET


class Unsubscribe(Request, frozen=True):
    """Ends one of the client's own Subscribers; a `DownlinkOffer` without it follows."""

    subscriber_id: Id


class PeerDescription(Request, frozen=True):
    """Relayed sessions: an SDP description for the other end of a Subscriber. The publisher of the
    stream offers, the subscriber answers; a later offer renegotiates."""

    subscriber_id: Id
    type: Literal["offer", "answer"]
    sdp: PeerSdp


class PeerCandidate(Request, frozen=True):
    """Relayed sessions: one ICE candidate for the other end of a Subscriber. `candidate` is the
    `candidate:` attribute; an empty one means end of candidates."""

    subscriber_id: Id
    candidate: PeerCandidateLine
    mid: Mid


class Signal(Request, frozen=True):
    """A signal to all connections, including the sender's, or to one. It carries clear `data`
    or, in end-to-end encrypted sessions, `encrypted` bytes, which only clients with the secret can
    decrypt; with neither, `data` is empty. `type` may contain letters, digits, `-`, `_` and `~`."""

    to: Id | None = None
    type: str | None = None
    data: str | None = None
    encrypted: bytes | None = None


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
    """Moderators: mutes all streams except the excluded ones, including the moderator's own, and
    new streams when they are published. `active` false ends this: streams published from then on
    are not muted."""

    active: bool
    excluded_stream_ids: Annotated[tuple[Id, ...], Meta(max_length=3_000)] = ()


class E2eeReady(Request, frozen=True):
    """The client can decrypt frames under the secret that `hint` names (e2ee/2, sections 3 and
    9)."""

    hint: Hint


class E2eeState(Request, frozen=True):
    """The decryption state of a Subscriber, in end-to-end encrypted sessions only. A `mismatch`
    pauses its video until `ok`, until this client announces another hint (`E2eeReady`), or until
    the stream's hints change (`DeclareKids`). `decrypted` and `failed` are the total numbers of
    frames that could and could not be decrypted, for diagnosis only."""

    subscriber_id: Id
    state: Literal["mismatch", "ok"]
    decrypted: Count = 0
    failed: Count = 0


class Ping(Request, frozen=True):
    """Sent every `keepAliveMs`; answered by `Pong`. `received` counts as in `Hello`, for the
    current WebSocket; the server no longer keeps the messages that it confirms."""

    received: Count | None = None


class Bye(Request, frozen=True):
    """Leaves the session at once, without the grace time of a lost WebSocket."""


ClientMessage = (
    Hello
    | Publish
    | Unpublish
    | UpdateStream
    | DeclareKids
    | Subscribe
    | DownlinkAnswer
    | RestartIce
    | UpdateSubscriber
    | Unsubscribe
    | PeerDescription
    | PeerCandidate
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
