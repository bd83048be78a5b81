"""What the shell does for a Session: one frozen dataclass per effect, run in order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sfu.ids import ConnectionId, StreamId, SubscriberId
from signaling.protocol.messages import (
    ConnectionInfo,
    Dimensions,
    LeaveReason,
    Message,
    Publish,
    RestartIce,
    StreamInfo,
    Subscribe,
)

MediaKindName = Literal["audio", "video"]
EventName = Literal[
    "sessionCreated",
    "sessionDestroyed",
    "connectionCreated",
    "connectionDestroyed",
    "streamCreated",
    "streamDestroyed",
    "archive",
    "broadcast",
    "render",
    "captions",
    "callCreated",
    "callUpdated",
    "callDestroyed",
    "callDigit",
    "muteForced",
]


@dataclass(frozen=True, slots=True)
class Send:
    connection: ConnectionId
    message: Message


@dataclass(frozen=True, slots=True)
class Broadcast:
    """To all connections except `but`, or to those in `to`; encoded once."""

    message: Message
    but: ConnectionId | None = None
    to: tuple[ConnectionId, ...] | None = None


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Runs after all earlier sends. The connection's media ends with it."""

    connection: ConnectionId
    reason: LeaveReason


@dataclass(frozen=True, slots=True)
class PublishMedia:
    connection: ConnectionId
    stream: StreamId
    request: Publish


@dataclass(frozen=True, slots=True)
class UnpublishMedia:
    connection: ConnectionId
    stream: StreamId


@dataclass(frozen=True, slots=True)
class DeclareKidsMedia:
    connection: ConnectionId
    stream: StreamId
    mid: str
    kids: tuple[bytes, ...]
    request: int


@dataclass(frozen=True, slots=True)
class ForwardStream:
    connection: ConnectionId
    stream: StreamId
    kind: MediaKindName
    forwarding: bool


@dataclass(frozen=True, slots=True)
class SubscribeMedia:
    connection: ConnectionId
    subscriber: SubscriberId
    request: Subscribe
    codecs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnsubscribeMedia:
    connection: ConnectionId
    subscriber: SubscriberId


@dataclass(frozen=True, slots=True)
class ForwardSubscriber:
    connection: ConnectionId
    subscriber: SubscriberId
    kind: MediaKindName
    forwarding: bool


@dataclass(frozen=True, slots=True)
class PreferLayers:
    connection: ConnectionId
    subscriber: SubscriberId
    resolution: Dimensions | None
    frame_rate: float | None


@dataclass(frozen=True, slots=True)
class AnswerDownlink:
    connection: ConnectionId
    number: int
    sdp: str
    request: int


@dataclass(frozen=True, slots=True)
class RestartIceMedia:
    connection: ConnectionId
    request: RestartIce


@dataclass(frozen=True, slots=True)
class Notify:
    """An event for the application's callbacks. `subject` is the id of the session, connection,
    stream, archive, broadcast, render, captions or SIP call; `connection` is the event's
    connection, or the publisher of its stream. `archive`, `broadcast`, `render`, `captions`,
    `call`: the members of the event of one."""

    event: EventName
    subject: str
    reason: str | None = None
    connection: ConnectionInfo | None = field(default=None, compare=False)
    stream: StreamInfo | None = field(default=None, compare=False)
    archive: Mapping[str, object] | None = field(default=None, compare=False)
    broadcast: Mapping[str, object] | None = field(default=None, compare=False, repr=False)
    render: Mapping[str, object] | None = field(default=None, compare=False, repr=False)
    captions: Mapping[str, object] | None = field(default=None, compare=False)
    call: Mapping[str, object] | None = field(default=None, compare=False)


Effect = (
    Send
    | Broadcast
    | CloseConnection
    | PublishMedia
    | UnpublishMedia
    | DeclareKidsMedia
    | ForwardStream
    | SubscribeMedia
    | UnsubscribeMedia
    | ForwardSubscriber
    | PreferLayers
    | AnswerDownlink
    | RestartIceMedia
    | Notify
)
Effects = list[Effect]
