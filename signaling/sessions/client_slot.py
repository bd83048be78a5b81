"""What belongs to one Connection beside the domain's state of it, and the way of messages to it."""

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
from signaling.sessions.message_sink import EncodedMessage, MessageSink

BACKLOG_MESSAGES = 256
"""What is kept for a client without a WebSocket, and of what went over its present one. More means
it will not come back in time."""
Timer = asyncio.TimerHandle
SNAPSHOT_COVERS = (
    m.ConnectionCreated,
    m.ConnectionDestroyed,
    m.StreamCreated,
    m.StreamDestroyed,
    m.StreamPropertyChanged,
    m.HintAnnounced,
)
"""Not replayed to a client that comes back: its new `Welcome` says what they would."""
RESUME_BYTES = 16
NOT_REPLAYED = (*SNAPSHOT_COVERS, m.DownlinkOffer, m.VideoDemandChanged, m.Pong)
"""What is told again as it is by then counts too."""


@dataclass(frozen=True, slots=True)
class JoiningClient:
    """What admission found out about a client. `token`: a digest, to count its joins."""

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
    """Owner: the actor. `held` waits for company: what follows goes behind it. `sent` counts what
    went over the present WebSocket, and `unconfirmed` has what may be lost with it."""

    media: ClientMedia
    resume: str
    sink: MessageSink | None
    last_request: int
    backlog: deque[EncodedMessage] = field(default_factory=deque)
    batch: list[EncodedMessage] = field(default_factory=list)
    grace: Timer | None = None
    offer: DownlinkOffer | None = None
    demands: dict[tuple[str, str], m.VideoDemandChanged] = field(default_factory=dict)
    publishing: asyncio.Task[None] | None = None
    sent: int = 0
    unconfirmed: deque[tuple[int, EncodedMessage]] = field(default_factory=deque)
    offer_sent_as: int | None = None
    resumes: Bucket = field(default_factory=lambda: Bucket(RESUMES_AT_ONCE, 0))

    def deliver(self, outgoing: EncodedMessage) -> None:
        """Now, or into the backlog while there is no WebSocket."""
        if self.sink is not None:
            if self.batch:
                self.flush_batch()
            self._write(self.sink, outgoing)
        elif len(self.backlog) < BACKLOG_MESSAGES:
            self.backlog.append(outgoing)

    def take(self, request: m.Request) -> None:
        """Notes what came, so that a client that comes back need not guess. The `Hello` of a
        resume does not count: it overtakes what waited for it."""
        self.last_request = max(self.last_request, request.id)
        if isinstance(request, m.Ping) and request.received is not None:
            self.confirm(request.received)

    def deliver_batched(self, outgoing: EncodedMessage) -> None:
        """What can wait a little, so that several leave together."""
        if self.sink is None:
            self.deliver(outgoing)
        else:
            self.batch.append(outgoing)

    def flush_batch(self) -> None:
        held, self.batch = self.batch, []
        if self.sink is not None:
            for outgoing in held:
                self._write(self.sink, outgoing)

    def confirm(self, received: int) -> None:
        """So many messages of the present WebSocket have come."""
        while self.unconfirmed and self.unconfirmed[0][0] <= received:
            self.unconfirmed.popleft()

    def move(self, sink: MessageSink, received: int | None) -> list[EncodedMessage]:
        """To another WebSocket. The result is what the client missed; without a count of what it
        received, what was written is taken for received."""
        self.confirm(self.sent if received is None else received)
        if self.offer_sent_as is not None:
            came = received is not None and self.offer_sent_as <= received
            self.offer_sent_as = 0 if came else None
        missed = [outgoing for _, outgoing in self.unconfirmed]
        missed += [o for o in self.backlog if not isinstance(o.message, NOT_REPLAYED)]
        self.unconfirmed.clear()
        self.backlog.clear()
        self.batch.clear()
        self.sink, self.sent = sink, 0
        return missed

    @property
    def offer_is_known(self) -> bool:
        """The client has the offer that waits for its answer."""
        return self.offer_sent_as is not None

    def _write(self, sink: MessageSink, outgoing: EncodedMessage) -> None:
        message = outgoing.message
        # A welcome is what the count begins with.
        if not isinstance(message, m.Welcome):
            self.sent += 1
            if isinstance(message, m.DownlinkOffer):
                self.offer_sent_as = self.sent
            elif not isinstance(message, NOT_REPLAYED):
                self.unconfirmed.append((self.sent, outgoing))
                if len(self.unconfirmed) > BACKLOG_MESSAGES:
                    self.unconfirmed.popleft()
        sink.send(outgoing)


def resume_token(connection: ConnectionId) -> str:
    """It begins with the name of what it resumes, which one look-up finds."""
    return f"{connection}.{secrets.token_urlsafe(RESUME_BYTES)}"


def named_by(token: str) -> ConnectionId:
    return ConnectionId(token.partition(".")[0])
