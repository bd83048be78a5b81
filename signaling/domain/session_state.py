"""The state of one Session. Owner: its actor; only the handlers change it."""

from dataclasses import dataclass, field

from sfu.ids import ConnectionId, StreamId, SubscriberId
from signaling.domain.errors import ErrorCode, error
from signaling.domain.roles import Capabilities
from signaling.domain.session_options import SessionRecord
from signaling.protocol.messages import ConnectionInfo, StreamInfo


@dataclass(frozen=True, slots=True)
class Limits:
    """`keep_alive_ms` and `grace_ms` are told to clients; the shell keeps them."""

    connections: int = 3_000
    streams_per_connection: int = 8
    subscribers_per_connection: int = 200
    messages_per_s: int = 50
    message_burst: int = 400
    keep_alive_ms: int = 10_000
    grace_ms: int = 15_000


@dataclass(slots=True)
class Member:
    info: ConnectionInfo
    capabilities: Capabilities
    codecs: tuple[str, ...]
    tokens: float
    filled_ms: int
    hint: int | None = None


@dataclass(slots=True)
class Stream:
    info: StreamInfo
    owner: ConnectionId
    mids: dict[str, str]
    hints: dict[str, frozenset[bytes]]
    live: bool = False
    muted: bool = False
    layout_classes: tuple[str, ...] = ()


@dataclass(slots=True)
class Delivery:
    """One Subscriber. `wants_video` is the client's wish, `sealed_off` the e2ee mismatch."""

    owner: ConnectionId
    stream: StreamId
    wants_video: bool
    sealed_off: bool = False


@dataclass(slots=True)
class SessionState:
    record: SessionRecord
    limits: Limits
    members: dict[ConnectionId, Member] = field(default_factory=dict)
    streams: dict[StreamId, Stream] = field(default_factory=dict)
    deliveries: dict[SubscriberId, Delivery] = field(default_factory=dict)
    mute_forced: bool = False
    layout_classes: dict[ConnectionId, tuple[str, ...]] = field(default_factory=dict)

    @property
    def e2ee(self) -> bool:
        return self.record.options.e2ee

    def stream(self, name: str) -> Stream:
        found = self.streams.get(StreamId(name))
        if found is None:
            raise error(ErrorCode.STREAM_NOT_FOUND)
        return found

    def own_stream(self, connection: ConnectionId, name: str) -> Stream:
        found = self.stream(name)
        if found.owner != connection:
            raise error(ErrorCode.PERMISSION_DENIED)
        return found

    def own_delivery(self, connection: ConnectionId, name: str) -> Delivery:
        found = self.deliveries.get(SubscriberId(name))
        if found is None or found.owner != connection:
            raise error(ErrorCode.SUBSCRIBER_NOT_FOUND)
        return found
