"""The commands of a Session, one frozen dataclass each.

A client's request arrives as a `FromClient` that wraps the protocol message.
"""

from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from sfu.ids import ConnectionId, StreamId, SubscriberId
from signaling.domain.roles import Capabilities
from signaling.protocol.messages import (
    ClientCodec,
    IceServer,
    LeaveReason,
    Request,
    TrackInfo,
)

RequestT_co = TypeVar("RequestT_co", bound=Request, covariant=True)


@dataclass(frozen=True, slots=True)
class Join:
    """An admitted client joins. `resume`: the token with which it can resume the connection.
    `token`: a digest of the client token that admitted it. `quietly`: other clients are notified
    only by `Announce`, or when the media plane has accepted what it publishes."""

    connection: ConnectionId
    request: int
    capabilities: Capabilities
    data: str
    codecs: tuple[ClientCodec, ...]
    e2ee_formats: tuple[str, ...]
    resume: str
    now_unix_ms: int
    layout_classes: tuple[str, ...] = ()
    ice_servers: tuple[IceServer, ...] = field(default=(), repr=False)
    token: bytes = field(default=b"", repr=False)
    quietly: bool = False


@dataclass(frozen=True, slots=True)
class Announce:
    """Announces a client that joined quietly to the other clients."""

    connection: ConnectionId


@dataclass(frozen=True, slots=True)
class Resume:
    """A client resumed its connection on a new WebSocket; it gets a new snapshot."""

    connection: ConnectionId
    request: int
    resume: str
    ice_servers: tuple[IceServer, ...] = field(default=(), repr=False)
    last_request: int | None = None


@dataclass(frozen=True, slots=True)
class FromClient(Generic[RequestT_co]):
    """`fresh_id` and `now_unix_ms` are the id and creation time of what the request may create."""

    connection: ConnectionId
    message: RequestT_co
    fresh_id: str
    now_unix_ms: int


@dataclass(frozen=True, slots=True)
class Leave:
    connection: ConnectionId
    reason: LeaveReason


@dataclass(frozen=True, slots=True)
class MediaPublished:
    connection: ConnectionId
    stream: StreamId
    request: int
    answer: str
    tracks: tuple[TrackInfo, ...]


@dataclass(frozen=True, slots=True)
class KidsDeclared:
    """The media plane accepted the key ids of a track."""

    connection: ConnectionId
    stream: StreamId
    mid: str
    kids: tuple[bytes, ...]
    request: int


@dataclass(frozen=True, slots=True)
class MediaRefused:
    """The media plane refused a request; its effects on the state are undone."""

    connection: ConnectionId
    request: int
    tag: str
    code: str
    stream: StreamId | None = None
    subscriber: SubscriberId | None = None


@dataclass(frozen=True, slots=True)
class StreamLive:
    stream: StreamId


@dataclass(frozen=True, slots=True)
class StreamSpeaks:
    """The stream became the session's active speaker."""

    stream: StreamId


@dataclass(frozen=True, slots=True)
class UnencryptedDropped:
    """The plaintext guard dropped unencrypted packets of a stream."""

    stream: StreamId
    mid: str
    packets: int


@dataclass(frozen=True, slots=True)
class TransportEnded:
    connection: ConnectionId
    direction: Literal["uplink", "downlink"]


@dataclass(frozen=True, slots=True)
class Play:
    """A player (WHEP) subscribes to one stream with its own offer. Errors: those of `Subscribe`."""

    connection: ConnectionId
    subscriber: SubscriberId
    stream: StreamId


@dataclass(frozen=True, slots=True)
class RestSignal:
    """A signal of the REST API, without a sender. Errors: `connection_not_found`,
    `signal_too_long`."""

    type: str | None
    data: str
    to: ConnectionId | None = None


@dataclass(frozen=True, slots=True)
class RestForceDisconnect:
    connection: ConnectionId


@dataclass(frozen=True, slots=True)
class RestMuteStream:
    stream: StreamId


@dataclass(frozen=True, slots=True)
class RestMuteAll:
    active: bool
    excluded: tuple[StreamId, ...] = ()


@dataclass(frozen=True, slots=True)
class SetLayoutClasses:
    """Errors: `stream_not_found`, which leaves all streams unchanged."""

    classes: tuple[tuple[StreamId, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class ArchiveBegan:
    """Errors: `feature_needs_clear_media`, whatever was checked before."""

    archive: str
    name: str


@dataclass(frozen=True, slots=True)
class ArchiveEnded:
    archive: str


@dataclass(frozen=True, slots=True)
class CaptionSpoken:
    """Somebody said something on a stream. `is_final`: the text of the phrase does not change any
    more. Errors: `captions_need_clear_media`, whatever was checked before."""

    stream: StreamId
    text: str = field(repr=False)
    is_final: bool


Command = (
    Join
    | Announce
    | Resume
    | FromClient[Request]
    | Leave
    | MediaPublished
    | KidsDeclared
    | MediaRefused
    | StreamLive
    | StreamSpeaks
    | UnencryptedDropped
    | TransportEnded
    | Play
    | RestSignal
    | RestForceDisconnect
    | RestMuteStream
    | RestMuteAll
    | SetLayoutClasses
    | ArchiveBegan
    | ArchiveEnded
    | CaptionSpoken
)
