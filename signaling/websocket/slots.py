"""A client's slot in its session, as the gate sees it, and how a gate gives one at this node."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sfu.ids import ConnectionId, short
from signaling import audit
from signaling.authenticator import Authenticator
from signaling.domain.errors import (
    REFUSED_TOKENS,
    DomainError,
    ErrorCode,
    PeerProtocolError,
    error,
    sdk_error,
)
from signaling.domain.session_options import SessionRecord
from signaling.domain.tokens import Admission
from signaling.metrics import Metrics
from signaling.protocol import messages as m
from signaling.sessions.actor import SessionActor
from signaling.sessions.client_slot import JoiningClient
from signaling.sessions.directory import SessionDirectory
from signaling.sessions.message_sink import EncodedMessage, MessageSink


class Slot(Protocol):
    """Of a client that joined or resumed. `name` is for logs. `data` is `message` as it came."""

    @property
    def name(self) -> str: ...
    @property
    def is_here(self) -> bool:
        """False: another WebSocket has taken its place, or its connection has ended."""

    def answer(self, outgoing: EncodedMessage) -> None:
        """Sends an answer of the gate, in order with the session's messages."""

    def handle(self, message: m.ClientMessage, data: bytes | str) -> None:
        """Errors: `DomainError`, to answer with the request's id."""

    def detach(self) -> None:
        """The WebSocket is gone."""

    def expel(self) -> None:
        """Ends the connection at once."""


@dataclass(frozen=True, slots=True)
class LocalSlot:
    """At this node."""

    actor: SessionActor
    connection: ConnectionId
    sink: MessageSink

    @property
    def name(self) -> str:
        return short(self.connection)

    @property
    def is_here(self) -> bool:
        return self.actor.is_at(self.connection, self.sink)

    def answer(self, outgoing: EncodedMessage) -> None:
        self.actor.answer(self.connection, self.sink, outgoing)

    def handle(self, message: m.ClientMessage, data: bytes | str) -> None:
        del data
        self.actor.handle_request(self.connection, message)

    def detach(self) -> None:
        self.actor.detach(self.connection, self.sink)

    def expel(self) -> None:
        self.actor.expel(self.connection)


class Seating:
    """Verifies who comes, and slots clients in the sessions of this node."""

    def __init__(
        self, authenticator: Authenticator, directory: SessionDirectory, metrics: Metrics
    ) -> None:
        self._authenticator, self._directory = authenticator, directory
        self._metrics = metrics

    async def record(self, hello: m.Hello) -> SessionRecord:
        """The session that a client says it was in: nobody guesses its id, so what is done to find
        its home is done for those who know one. Errors: `resume_unknown`, `storage_unavailable`."""
        try:
            record = await self._authenticator.known_session(hello.api_key, hello.session_id)
        except DomainError as refused:
            raise answering(refused, hello) from None
        if record is None:
            raise answering(error(ErrorCode.RESUME_UNKNOWN), hello)
        return record

    async def admit(self, hello: m.Hello, origin: str | None) -> Admission:
        """Errors: those of authentication, which are counted."""
        try:
            return await self._authenticator.authenticate(
                hello.api_key, hello.session_id, hello.token, origin=origin
            )
        except DomainError as refused:
            if refused.code in REFUSED_TOKENS:
                self._metrics.authentication_failures.labels("websocket", refused.code.value).inc()
                audit.credentials_refused("websocket", refused, hello.api_key)
            raise answering(refused, hello) from None

    def resume(self, hello: m.Hello, sink: MessageSink) -> LocalSlot:
        """Resumes a connection. The resume token replaces the client token, which may have expired.

        Errors: `resume_unknown`, `overloaded`. An unknown token does not become a join: the other
        clients would see a connection come and go, and the client would not know what it lost.
        """
        actor = self._directory.find(hello.session_id)
        try:
            connection = None if actor is None else actor.resume(hello, sink)
        except DomainError as refused:
            raise answering(refused, hello) from None
        if actor is None or connection is None:
            raise answering(error(ErrorCode.RESUME_UNKNOWN), hello)
        return LocalSlot(actor, connection, sink)

    def join(self, hello: m.Hello, admission: Admission, sink: MessageSink) -> LocalSlot:
        """Errors: those of joining."""
        try:
            actor = self._directory.open(admission.session, admission.quotas)
            joining = JoiningClient.of(admission)
            return LocalSlot(actor, actor.join(hello, joining, sink), sink)
        except DomainError as refused:
            raise answering(refused, hello) from None


def answering(refused: DomainError, request: m.Request) -> DomainError:
    """Attaches the request that an error answers."""
    refused.__dict__["request"] = request
    return refused


def answer_error(
    send: Callable[[EncodedMessage], None], refused: DomainError, request: m.Request | None = None
) -> None:
    request = request or refused.__dict__.get("request")
    tag = None if request is None else request.__struct_config__.tag
    name, number = sdk_error(refused.code, str(tag) if tag is not None else None)
    send(
        EncodedMessage(
            m.Error(
                code=refused.code.value,
                name=name,
                number=number,
                message=refused.message,
                re=_answered(refused) if request is None else request.id,
            )
        )
    )


def _answered(refused: DomainError) -> int | None:
    return refused.request_id if isinstance(refused, PeerProtocolError) else None
