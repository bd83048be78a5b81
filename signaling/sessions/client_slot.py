"""The shell's part of one Connection: its media, its WebSocket, and messages not yet received."""

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass, field

from sfu.ids import ConnectionId
from sfu.media_plane import ClientMedia, DownlinkOffer
from signaling.domain.intake import RESUMES_AT_ONCE
from signaling.domain.roles import Capabilities
from signaling.domain.session_state import Bucket
from signaling.domain.tokens import Admission
from signaling.protocol import messages as m
from signaling.sessions.batch import Batch
from signaling.sessions.message_sink import EncodedBatch, EncodedMessage, MessageSink

BACKLOG_MESSAGES = 256
"""Limit of messages kept for a client without a WebSocket, and of messages sent but not confirmed.
A client that misses more will not resume in time."""
Timer = asyncio.TimerHandle
SNAPSHOT_COVERS = (
    m.ConnectionCreated,
    m.ConnectionDestroyed,
    m.StreamCreated,
    m.StreamDestroyed,
    m.StreamPropertyChanged,
    m.HintAnnounced,
)
"""Not replayed after a resume: the new `Welcome` contains the same information."""
RESUME_BYTES = 16
NOT_REPLAYED = (*SNAPSHOT_COVERS, m.DownlinkOffer, m.SubscribedLayersChanged, m.Pong)
"""Also without messages that the actor sends again with their current content."""


@dataclass(frozen=True, slots=True)
class JoiningClient:
    """The result of a client's admission. `token`: a digest, by which its joins are counted."""

    capabilities: Capabilities
    data: str
    layout_classes: tuple[str, ...]
    token: bytes = b""

    @classmethod
    def of(cls, admission: Admission) -> "JoiningClient":
        return cls(
            admission.capabilities,
            admission.connection_data,
            admission.layout_classes,
            admission.token,
        )


@dataclass
class ClientSlot:
    """Owned by the actor. `shared` holds messages to all members that may wait a little; any later
    message flushes those that this one lacks, which begin at `batched_from`. `sent` counts the
    messages over the current WebSocket, and `unconfirmed` keeps those that would be lost with it.
    `resume_tokens` has the token of the last `Welcome`, and that of the one before until a request
    shows that the client has the last: a `Welcome` can be lost as well.
    """

    connection: ConnectionId
    media: ClientMedia
    resume_tokens: tuple[str, ...]
    sink: MessageSink | None
    last_request: int
    shared: Batch = field(default_factory=Batch)
    batched_from: int = 0
    backlog: deque[EncodedMessage] = field(default_factory=deque)
    grace: Timer | None = None
    offer: DownlinkOffer | None = None
    subscribed_layers: dict[tuple[str, str], m.SubscribedLayersChanged] = field(
        default_factory=dict
    )
    publishing: asyncio.Task[None] | None = None
    sent: int = 0
    unconfirmed: deque[tuple[int, EncodedMessage]] = field(default_factory=deque)
    offer_sent_as: int | None = None
    resumes: Bucket = field(default_factory=lambda: Bucket(RESUMES_AT_ONCE, 0))
    last_hello: int = 0

    def deliver(self, outgoing: EncodedMessage) -> None:
        """Sends at once, or adds to the backlog while there is no WebSocket."""
        if self.sink is not None:
            if self.batched_from < len(self.shared):
                self.flush_batch()
            self._write(self.sink, outgoing)
        elif len(self.backlog) < BACKLOG_MESSAGES:
            self.backlog.append(outgoing)

    def take(self, request: m.Request) -> None:
        """Notes the last request, for the `Welcome` of a resume. The `Hello` of a resume does not
        count: its id may be higher than those of earlier requests that the client sends again."""
        self.resume_tokens = self.resume_tokens[:1]
        self.last_request = max(self.last_request, request.id)
        if isinstance(request, m.Ping) and request.received is not None:
            self.confirm(request.received)

    @property
    def batch(self) -> tuple[EncodedMessage, ...]:
        """The messages that wait for it."""
        if self.sink is None or self.batched_from == len(self.shared):
            return ()
        return self.shared.since(self.batched_from, self.connection).messages

    def flush_batch(self) -> None:
        """Without a WebSocket they are forgotten: the `Welcome` of a resume covers them."""
        if self.sink is not None and self.batched_from < len(self.shared):
            self._write_batch(self.sink, self.shared.since(self.batched_from, self.connection))
        self.skip_batch()

    def skip_batch(self) -> None:
        self.batched_from = len(self.shared)

    def confirm(self, received: int) -> None:
        """The client received this many messages over the current WebSocket."""
        while self.unconfirmed and self.unconfirmed[0][0] <= received:
            self.unconfirmed.popleft()

    def is_resumed_by(self, presented: str, hello: int) -> bool:
        """`hello`: the id of the request. An attempt that the client gave up can arrive after its
        next one, which has a higher id; it would end that, and take its token."""
        given = presented.encode()
        known = [secrets.compare_digest(token.encode(), given) for token in self.resume_tokens]
        return any(known) and (known[0] or hello >= self.last_hello)

    def move(self, sink: MessageSink, hello: m.Hello, next_token: str) -> list[EncodedMessage]:
        """Switches to another WebSocket and returns the messages that the client missed. Without a
        count of received messages, all sent messages count as received."""
        presented, received = hello.resume or "", hello.received
        self.last_hello = hello.id
        if presented != self.resume_tokens[0]:
            received = 0  # It counts on an earlier WebSocket, and has nothing of the current one.
        self.resume_tokens = (next_token, presented)
        self.confirm(self.sent if received is None else received)
        if self.offer_sent_as is not None:
            came = received is not None and self.offer_sent_as <= received
            self.offer_sent_as = 0 if came else None
        missed = [outgoing for _, outgoing in self.unconfirmed]
        missed += [o for o in self.backlog if not isinstance(o.message, NOT_REPLAYED)]
        self.unconfirmed.clear()
        self.backlog.clear()
        self.skip_batch()
        self.sink, self.sent = sink, 0
        return missed

    @property
    def offer_is_known(self) -> bool:
        """Whether the client received the unanswered offer."""
        return self.offer_sent_as is not None

    def _write(self, sink: MessageSink, outgoing: EncodedMessage) -> None:
        message = outgoing.message
        # The count begins after the `Welcome`.
        if not isinstance(message, m.Welcome):
            self.sent += 1
            if isinstance(message, m.DownlinkOffer):
                self.offer_sent_as = self.sent
            elif not isinstance(message, NOT_REPLAYED):
                self.unconfirmed.append((self.sent, outgoing))
                if len(self.unconfirmed) > BACKLOG_MESSAGES:
                    self.unconfirmed.popleft()
        sink.send(outgoing)

    def _write_batch(self, sink: MessageSink, batch: EncodedBatch) -> None:
        """For messages that are not replayed."""
        self.sent += len(batch.messages)
        sink.send_batch(batch)


def resume_token(connection: ConnectionId) -> str:
    """A random token that begins with the connection's id, so that one look-up finds it."""
    return f"{connection}.{secrets.token_urlsafe(RESUME_BYTES)}"


def connection_of(token: str) -> ConnectionId:
    return ConnectionId(token.partition(".")[0])
