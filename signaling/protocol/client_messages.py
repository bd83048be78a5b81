"""Client to server: requests, one type each. The bounds are the protocol's limits."""

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
    """The first message. Answered by `Welcome`. `resume` resumes a connection that lost its
    WebSocket within the grace time; the media goes on meanwhile. `received` counts what came over
    that WebSocket after its `Welcome`: the server sends later messages again."""

    api_key: Annotated[str, Meta(max_length=64)]
    session_id: Annotated[str, Meta(max_length=255)]
    token: Annotated[str, Meta(max_length=8_192)]
    sdk: SdkInfo
    e2ee: E2eeSupport | None = None
    codecs: Annotated[tuple[ClientCodec, ...], Meta(max_length=16)] = ("opus", "vp8")
    resume: Annotated[str, Meta(max_length=128)] | None = None
    received: Count | None = None


class Publish(Request, frozen=True):
    """Answered by `Published`. `offer` is the whole offer of the client's uplink, with the
    m-lines of streams it already publishes. In a relayed session there is no uplink and no
    `offer`: each Subscriber is negotiated by itself, see `PeerWanted`."""

    tracks: Annotated[tuple[TrackOffer, ...], Meta(min_length=1, max_length=2)]
    offer: Sdp = ""
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
    """Answered by `Subscribed`; a `DownlinkOffer` follows, or, in a relayed session, a
    `PeerDescriptionReceived` with the publisher's offer."""

    stream_id: Id
    audio: bool = True
    video: bool = True
    preferred_resolution: Dimensions | None = None
    preferred_frame_rate: FrameRate | None = None


class DownlinkAnswer(Request, frozen=True):
    """The answer to the `DownlinkOffer` with the same `number`."""

    number: Count
    sdp: Sdp


class RestartIce(Request, frozen=True):
    """The network of a transport changed or fails; its streams and Subscribers stay. `uplink`:
    with the client's `offer` of new ICE credentials, answered by `IceRestarted`. `downlink`:
    without an offer; a `DownlinkOffer` with new credentials follows."""

    direction: Literal["uplink", "downlink"]
    offer: Sdp = ""


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


class PeerDescription(Request, frozen=True):
    """Relayed sessions: passed on to the other end of a Subscriber. The publisher of the stream
    offers, the subscriber answers; a later offer replaces what was negotiated."""

    subscriber_id: Id
    type: Literal["offer", "answer"]
    sdp: PeerSdp


class PeerCandidate(Request, frozen=True):
    """Relayed sessions: one ICE candidate for the other end of a Subscriber. `candidate` is the
    `candidate:` attribute; an empty one says that there are no more."""

    subscriber_id: Id
    candidate: PeerCandidateLine
    mid: Mid


class Signal(Request, frozen=True):
    """To all (also the sender), or to one connection. Either clear `data` or, in encrypted
    sessions, `sealed` bytes that only members with the secret can decrypt; with neither, `data`
    is empty. `type` has letters, digits, `-`, `_` and `~` only."""

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
    """The client can open frames under the secret that `hint` names (e2ee/2 sections 3 and 9)."""

    hint: Hint


class E2eeState(Request, frozen=True):
    """What a Subscriber's decryption sees, in encrypted sessions only. On `mismatch` its video is
    paused until `ok`, until this client announces another hint (`E2eeReady`) or the stream's
    hints change (`DeclareKids`). Counts are totals, for diagnosis only."""

    subscriber_id: Id
    state: Literal["mismatch", "ok"]
    opened: Count = 0
    failed: Count = 0


class Ping(Request, frozen=True):
    """Sent every `keepAliveMs`; answered by `Pong`. `received` as in `Hello`, of the present
    WebSocket: what came need not be kept."""

    received: Count | None = None


class Bye(Request, frozen=True):
    """Leaves at once, without the grace time of a lost WebSocket."""


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
