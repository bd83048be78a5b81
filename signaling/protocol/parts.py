"""Building blocks of messages in both directions: field types, base classes and parts."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

E2EE_FORMAT = "e2ee/2"
"""The only end-to-end encryption format (docs/e2ee.md); formats are not negotiated."""

RequestId = Annotated[int, Meta(ge=0, lt=2**31)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Mid = Annotated[str, Meta(min_length=1, max_length=16)]
Kid = Annotated[bytes, Meta(min_length=8, max_length=8)]
Hint = Annotated[int, Meta(ge=0, lt=2**16)]
Sdp = Annotated[str, Meta(max_length=131_072)]
PeerSdp = Annotated[str, Meta(min_length=1, max_length=65_536)]
PeerCandidateLine = Annotated[str, Meta(max_length=1_024)]
Name = Annotated[str, Meta(max_length=1_000)]
Initials = Annotated[str, Meta(max_length=16)]
MediaKind = Literal["audio", "video"]
FrameRate = Annotated[float, Meta(ge=0, le=1_000)]
Count = Annotated[int, Meta(ge=0, lt=2**53)]
VideoType = Literal["camera", "screen", "custom"]
ClientCodec = Literal["opus", "vp8", "vp9", "h264", "av1"]
LeaveReason = Literal["clientDisconnected", "forceDisconnected", "networkDisconnected"]
EndReason = Literal[LeaveReason, "forceUnpublished", "mediaStopped"]


class Value(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of messages. Unknown members are ignored, so that later versions can add some."""


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
    """A message in either direction."""


class Request(Message, frozen=True, kw_only=True):
    """Client to server. Answered by `Ok`, by a specific message with `re`, or by `Error`."""

    id: RequestId


class SdkInfo(Value, frozen=True):
    """Name and version of the client library, for diagnosis."""

    name: Annotated[str, Meta(max_length=64)]
    version: Annotated[str, Meta(max_length=32)]


class E2eeSupport(Value, frozen=True):
    """The client's end-to-end encryption support. `signals`: it can decrypt signals."""

    formats: Annotated[tuple[Annotated[str, Meta(max_length=16)], ...], Meta(max_length=8)]
    signals: bool = False


class Dimensions(Value, frozen=True):
    """A size in pixels."""

    width: Annotated[int, Meta(ge=0, le=16_384)]
    height: Annotated[int, Meta(ge=0, le=16_384)]


class TrackOffer(Value, frozen=True):
    """A track to publish. `kids`: the SFrame key ids it will use; required in end-to-end encrypted
    sessions."""

    mid: Mid
    kind: MediaKind
    kids: Annotated[tuple[Kid, ...], Meta(max_length=8)] = ()


class TrackInfo(Value, frozen=True):
    """One m-line of a published stream, as negotiated."""

    mid: str
    kind: MediaKind
    codec: ClientCodec


class DownlinkTrack(Value, frozen=True):
    """One m-line of the server's offer that a Subscriber uses."""

    mid: str
    kind: MediaKind
    codec: ClientCodec
    subscriber_id: str
    stream_id: str


class ConnectionInfo(Value, frozen=True):
    """A client in the session. `creation_time` in Unix milliseconds; `data` is from its token."""

    connection_id: str
    creation_time: int
    data: str = ""


class StreamInfo(Value, frozen=True):
    """A published stream. `creation_time` in Unix milliseconds; `codecs` by track kind.
    `has_captions`: what is said may be captioned, if the application starts captions."""

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
    has_captions: bool = False
    initials: str = ""


class Capabilities(Value, frozen=True):
    """1 = allowed, 0 = not allowed, as in OpenTok.js."""

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
    """`e2ee` and the media mode never change during a session's lifetime."""

    session_id: str
    e2ee: bool
    media_mode: Literal["routed", "relayed"]
