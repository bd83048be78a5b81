"""What the control plane can ask of the media core: one frozen dataclass per command.

Commands are applied in the order of submission by the worker that owns the session.
A command that is malformed raises `ValueError` at submission; one that conflicts with
the core's state (unknown handle, SSRC taken) comes back as a `CommandFailed` event.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from sfu.ids import PublisherHandle, RouterHandle, SubscriberHandle, TransportHandle


class PayloadAccess(StrEnum):
    """How much of a payload the core may read (docs/architecture.md, decision 4)."""

    CLEAR = "clear"
    OPAQUE = "opaque"


class Direction(StrEnum):
    """Seen from the client: it sends on its uplink and receives on its downlink."""

    UPLINK = "uplink"
    DOWNLINK = "downlink"


class MediaKind(StrEnum):
    AUDIO = "audio"
    VIDEO = "video"


class Codec(StrEnum):
    OPUS = "opus"
    VP8 = "vp8"
    VP9 = "vp9"
    H264 = "h264"
    AV1 = "av1"


class SrtpProfile(StrEnum):
    """In our order of preference (RFC 7714, RFC 5764 section 4.1.2)."""

    AEAD_AES_128_GCM = "SRTP_AEAD_AES_128_GCM"
    AEAD_AES_256_GCM = "SRTP_AEAD_AES_256_GCM"
    AES128_CM_SHA1_80 = "SRTP_AES128_CM_SHA1_80"


class Extension(StrEnum):
    """RTP header extensions the core knows. Others are not negotiated."""

    MID = "mid"
    RID = "rid"
    REPAIRED_RID = "repaired_rid"
    AUDIO_LEVEL = "audio_level"
    ABS_SEND_TIME = "abs_send_time"
    TRANSPORT_CC = "transport_cc"
    TOFFSET = "toffset"
    VIDEO_ORIENTATION = "video_orientation"
    PLAYOUT_DELAY = "playout_delay"
    VIDEO_CONTENT_TYPE = "video_content_type"
    VIDEO_TIMING = "video_timing"
    COLOR_SPACE = "color_space"
    DEPENDENCY_DESCRIPTOR = "dependency_descriptor"
    VIDEO_LAYERS_ALLOCATION = "video_layers_allocation"
    ABS_CAPTURE_TIME = "abs_capture_time"


@dataclass(frozen=True, slots=True)
class EncodingParameters:
    """One RtpStream of a source: named by SSRC when the offer says it, else found by RID or MID."""

    ssrc: int | None = None
    rtx_ssrc: int | None = None
    rid: str | None = None


@dataclass(frozen=True, slots=True)
class SourceParameters:
    """One m-line of a Publisher.

    `declared_kids` are the 8-byte SFrame key ids the publisher announced (e2ee/2 section 2);
    the seal guard lets only these through on an OPAQUE router.
    """

    mid: str
    kind: MediaKind
    codec: Codec
    payload_type: int
    rtx_payload_type: int | None
    clock_rate_hz: int
    encodings: tuple[EncodingParameters, ...]
    extensions: dict[Extension, int]
    nack: bool
    declared_kids: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class SinkParameters:
    """One m-line of a Subscriber: the RtpStream it receives.

    A sink's SSRC outlives the Subscriber: an m-line that is used again for another
    stream goes on with the sequence numbers and SRTP state of the SSRC.
    """

    mid: str
    source_mid: str
    ssrc: int
    rtx_ssrc: int | None
    payload_type: int
    rtx_payload_type: int | None
    extensions: dict[Extension, int]
    nack: bool = True
    """Generic NACK was negotiated. Without a retransmission stream sealed packets are kept."""


@dataclass(frozen=True, slots=True)
class OpenRouter:
    router: RouterHandle
    access: PayloadAccess


@dataclass(frozen=True, slots=True)
class CloseRouter:
    """Closes every transport, publisher and subscriber of the session."""

    router: RouterHandle


@dataclass(frozen=True, slots=True)
class OpenTransport:
    """From now on STUN checks with USERNAME `local_ufrag:*` are answered (ICE-lite, RFC 8445)."""

    router: RouterHandle
    transport: TransportHandle
    direction: Direction
    local_ufrag: str
    local_pwd: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RestartIce:
    """An ICE restart: checks need these credentials from now on, the first valid one selects its
    source. The present address, the DTLS association and the SRTP state stay."""

    transport: TransportHandle
    local_ufrag: str
    local_pwd: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SetPeerCredentials:
    """The peer's side of ICE, for checks of ours: they find a peer whose address changed."""

    transport: TransportHandle
    ufrag: str
    pwd: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SetSrtpKeys:
    """The keys of a finished DTLS handshake. `receive_*` opens what the client sends."""

    transport: TransportHandle
    profile: SrtpProfile
    receive_key: bytes = field(repr=False)
    receive_salt: bytes = field(repr=False)
    send_key: bytes = field(repr=False)
    send_salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendDtls:
    """Handshake bytes for the transport's ICE-validated address."""

    transport: TransportHandle
    datagram: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CloseTransport:
    transport: TransportHandle


@dataclass(frozen=True, slots=True)
class Publish:
    router: RouterHandle
    publisher: PublisherHandle
    transport: TransportHandle
    sources: tuple[SourceParameters, ...]


@dataclass(frozen=True, slots=True)
class DeclareKids:
    """Replaces the key ids that the seal guard accepts for one source."""

    publisher: PublisherHandle
    mid: str
    kids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SetSourceForwarding:
    """False holds back what the source sends (force mute), True lets it pass again."""

    publisher: PublisherHandle
    mid: str
    forwarding: bool


@dataclass(frozen=True, slots=True)
class RequestKeyFrame:
    """Asks the publisher for one key frame on every video encoding (key change, late joiner)."""

    publisher: PublisherHandle


@dataclass(frozen=True, slots=True)
class Unpublish:
    publisher: PublisherHandle


@dataclass(frozen=True, slots=True)
class Subscribe:
    router: RouterHandle
    subscriber: SubscriberHandle
    publisher: PublisherHandle
    transport: TransportHandle
    sinks: tuple[SinkParameters, ...]


@dataclass(frozen=True, slots=True)
class SetSinkForwarding:
    """Pauses or resumes one kind of media to a Subscriber (subscribeToVideo, wrong secret)."""

    subscriber: SubscriberHandle
    kind: MediaKind
    forwarding: bool


@dataclass(frozen=True, slots=True)
class SetLayerWish:
    """What the Subscriber wants at most; None = whatever the link carries."""

    subscriber: SubscriberHandle
    max_width_px: int | None
    max_height_px: int | None
    max_frame_rate: float | None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    subscriber: SubscriberHandle


Command = (
    OpenRouter
    | CloseRouter
    | OpenTransport
    | RestartIce
    | SetPeerCredentials
    | SetSrtpKeys
    | SendDtls
    | CloseTransport
    | Publish
    | DeclareKids
    | SetSourceForwarding
    | RequestKeyFrame
    | Unpublish
    | Subscribe
    | SetSinkForwarding
    | SetLayerWish
    | Unsubscribe
)
