"""The state of one Session. Its actor owns it; only the command handlers change it."""

from dataclasses import dataclass, field

from config.settings import SignalingSettings
from sfu.ids import ConnectionId, StreamId, SubscriberId
from signaling.domain import welcome_size
from signaling.domain.errors import ErrorCode, error
from signaling.domain.roles import Capabilities
from signaling.domain.session_options import MediaMode, SessionRecord
from signaling.protocol.messages import ConnectionInfo, Dimensions, StreamInfo


@dataclass(frozen=True, slots=True)
class Limits:
    """`keep_alive_ms` and `grace_ms` are sent to clients; the shell enforces them."""

    connections: int
    streams_per_connection: int
    subscribers_per_connection: int
    messages_per_s: float
    message_burst: int
    joins_per_s: float
    joins_per_token_per_min: int
    fan_out_bytes_per_s: int
    fan_out_burst: int
    keep_alive_ms: int
    grace_ms: int


def limits_of(settings: SignalingSettings) -> Limits:
    """The limits in the operator's settings."""
    return Limits(
        connections=settings.connections_per_session,
        streams_per_connection=settings.streams_per_connection,
        subscribers_per_connection=settings.subscribers_per_connection,
        messages_per_s=settings.messages_per_s,
        message_burst=settings.message_burst,
        joins_per_s=settings.joins_per_s,
        joins_per_token_per_min=settings.joins_per_token_per_min,
        fan_out_bytes_per_s=settings.fan_out_bytes_per_s,
        fan_out_burst=settings.fan_out_burst,
        keep_alive_ms=settings.keep_alive_ms,
        grace_ms=settings.grace_ms,
    )


@dataclass(slots=True)
class Bucket:
    """A token bucket: it allows a burst, but no sustained excess."""

    tokens: float
    filled_ms: int

    def take(self, now_ms: int, per_s: float, burst: float, cost: float = 1.0) -> None:
        """Errors: `rate_limited`."""
        if not self.takes(now_ms, per_s, burst, cost):
            raise error(ErrorCode.RATE_LIMITED)

    def takes(self, now_ms: int, per_s: float, burst: float, cost: float = 1.0) -> bool:
        """Takes the cost if the bucket has enough tokens; False otherwise."""
        self.fill(now_ms, per_s, burst)
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True

    def fill(self, now_ms: int, per_s: float, burst: float) -> None:
        refill = max(0, now_ms - self.filled_ms) * per_s / 1000
        self.tokens = min(burst, self.tokens + refill)
        self.filled_ms = now_ms


@dataclass(slots=True)
class Connection:
    """One client. `streams` and `subscribers` are its own, in order of creation.
    `fan_out`: bytes that its messages may cause towards other clients.
    `passed`: bytes that the server may pass on to its peers (relayed Sessions).
    `hint_number`: number of its last announcement, counted per Session; `hints_seen`: number of
    the last announcement that it received. `welcome_bytes`: its share of a `Welcome`.
    `announced`: the other clients know of it."""

    info: ConnectionInfo
    capabilities: Capabilities
    codecs: tuple[str, ...]
    requests: Bucket
    fan_out: Bucket
    passed: Bucket | None = None
    hint: int | None = None
    hint_number: int = 0
    hints_seen: int = 0
    welcome_bytes: int = 0
    announced: bool = False
    streams: dict[StreamId, None] = field(default_factory=dict)
    subscribers: dict[SubscriberId, None] = field(default_factory=dict)


@dataclass(slots=True)
class Stream:
    """`muted`: a moderator muted the audio, and the core does not forward it. `complied`: the
    publisher's audio was off at the mute or was switched off since, so it may unmute.
    `unencrypted_*`: packets that the plaintext guard dropped, and when (monotonic). `captions`:
    how many may follow, by whether they are final."""

    info: StreamInfo
    owner: ConnectionId
    mids: dict[str, str]
    hints: dict[str, tuple[bytes, ...]]
    live: bool = False
    muted: bool = False
    complied: bool = False
    subscribers: dict[SubscriberId, None] = field(default_factory=dict)
    layout_classes: tuple[str, ...] = ()
    unencrypted_packets: int = 0
    unencrypted_ms: int | None = None
    welcome_bytes: int = 0
    captions: dict[bool, Bucket] = field(default_factory=dict)


@dataclass(slots=True)
class Subscriber:
    """One Subscriber with its client's preferences. `mismatched`: the client cannot decrypt the
    stream. `opened` and `failed`: frames counted by the client's last report."""

    owner: ConnectionId
    stream: StreamId
    wants_audio: bool
    wants_video: bool
    resolution: Dimensions | None
    frame_rate: float | None
    wants_captions: bool = False
    mismatched: bool = False
    decrypted: int = 0
    failed: int = 0


@dataclass(slots=True)
class SessionState:
    """`welcome_bytes`: size of the connections and streams in a `Welcome`. `archives`: those that
    record now, by id, with their names. `captions_asked`: somebody wanted to read captions once,
    whether they run or not."""

    record: SessionRecord
    limits: Limits
    connections: dict[ConnectionId, Connection] = field(default_factory=dict)
    streams: dict[StreamId, Stream] = field(default_factory=dict)
    subscribers: dict[SubscriberId, Subscriber] = field(default_factory=dict)
    joins: Bucket | None = None
    joins_by_token: dict[bytes, Bucket] = field(default_factory=dict)
    rest_fan_out: Bucket | None = None
    hints_announced: int = 0
    mute_forced: bool = False
    welcome_bytes: int = 0
    layout_classes: dict[ConnectionId, tuple[str, ...]] = field(default_factory=dict)
    archives: dict[str, str] = field(default_factory=dict)
    captions_asked: bool = False

    @property
    def e2ee(self) -> bool:
        return self.record.options.e2ee

    @property
    def relayed(self) -> bool:
        """Clients send media to each other, not through the server."""
        return self.record.options.media_mode is MediaMode.RELAYED

    @property
    def hears_media(self) -> bool:
        """Media comes through the server, and in clear."""
        return not self.e2ee and not self.relayed

    def add_connection(self, connection: Connection) -> None:
        """Errors: `connection_limit` if a `Welcome` would become too large."""
        connection.welcome_bytes = welcome_size.of_connection(connection.info)
        welcome_size.check(self.welcome_bytes, connection.welcome_bytes, ErrorCode.CONNECTION_LIMIT)
        self.welcome_bytes += connection.welcome_bytes
        self.connections[ConnectionId(connection.info.connection_id)] = connection

    def drop_connection(self, name: ConnectionId) -> None:
        """Removes a connection that has no streams or subscribers left."""
        self.welcome_bytes -= self.connections.pop(name).welcome_bytes
        self.layout_classes.pop(name, None)

    def add_stream(self, name: StreamId, stream: Stream) -> None:
        """Errors: `stream_limit` if a `Welcome` would become too large."""
        stream.welcome_bytes = welcome_size.of_stream(stream.info)
        welcome_size.check(self.welcome_bytes, stream.welcome_bytes, ErrorCode.STREAM_LIMIT)
        self.welcome_bytes += stream.welcome_bytes
        self.streams[name] = stream
        self.connections[stream.owner].streams[name] = None

    def drop_stream(self, name: StreamId) -> Stream:
        """Removes the stream and all its subscribers."""
        found = self.streams[name]
        for gone in list(found.subscribers):
            self.drop_subscriber(gone)
        del self.streams[name]
        self.connections[found.owner].streams.pop(name)
        self.welcome_bytes -= found.welcome_bytes
        return found

    def add_subscriber(self, name: SubscriberId, subscriber: Subscriber) -> None:
        self.subscribers[name] = subscriber
        self.connections[subscriber.owner].subscribers[name] = None
        self.streams[subscriber.stream].subscribers[name] = None

    def drop_subscriber(self, name: SubscriberId) -> None:
        """Idempotent, because a subscriber also ends with its stream."""
        found = self.subscribers.pop(name, None)
        if found is not None:
            self.connections[found.owner].subscribers.pop(name)
            self.streams[found.stream].subscribers.pop(name)

    def stream(self, name: str) -> Stream:
        found = self.streams.get(StreamId(name))
        if found is None:
            raise error(ErrorCode.STREAM_NOT_FOUND)
        return found

    def live_stream(self, name: str) -> Stream:
        """A stream that was announced to the session. Errors: `stream_not_found`."""
        found = self.stream(name)
        if not found.live:
            raise error(ErrorCode.STREAM_NOT_FOUND)
        return found

    def own_stream(self, connection: ConnectionId, name: str) -> Stream:
        found = self.stream(name)
        if found.owner != connection:
            raise error(ErrorCode.PERMISSION_DENIED)
        return found

    def own_subscriber(self, connection: ConnectionId, name: str) -> Subscriber:
        found = self.subscribers.get(SubscriberId(name))
        if found is None or found.owner != connection:
            raise error(ErrorCode.SUBSCRIBER_NOT_FOUND)
        return found
