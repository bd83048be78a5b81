"""The WebSockets of clients: upgrade, admission, incoming messages, and detection of lost clients.

The actor interprets messages. This module handles frames, deadlines and slow readers: a client that
does not read costs a bounded queue for a bounded time.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from aiohttp import WSMessage, WSMsgType, web

from config.settings import Settings
from sfu.ids import ConnectionId, short
from signaling import audit
from signaling.authenticator import Authenticator
from signaling.clock import Clock
from signaling.domain.errors import (
    ERRORS,
    REFUSED_TOKENS,
    DomainError,
    ErrorCode,
    PeerProtocolError,
    Refused,
    Unavailable,
    error,
    sdk_error,
)
from signaling.domain.intake import Intake, IntakeRates
from signaling.http.websocket_connection import WebSocketConnection
from signaling.metrics import Metrics
from signaling.protocol import messages as m
from signaling.protocol.codec import (
    MAX_FIRST_MESSAGE_BYTES,
    MAX_MESSAGE_BYTES,
    Encoding,
    decode,
)
from signaling.sessions.actor import SessionActor
from signaling.sessions.client_slot import JoiningClient
from signaling.sessions.directory import SessionDirectory
from signaling.sessions.message_sink import EncodedMessage
from signaling.websocket.sink import CLOSE_CODES, SendQueues, WebSocketSink

log = structlog.get_logger(__name__)

ENCODINGS = {
    m.SUBPROTOCOL_MSGPACK: Encoding.MSGPACK,
    m.SUBPROTOCOL_JSON: Encoding.JSON,
}
IDLE_INTERVALS = 2.5
"""Keep-alive intervals without a message after which a client is lost: one ping may be late."""
ASKED_INTERVALS = 1.5
"""After so many the server asks with a ping frame. A browser answers it for a page that is too busy
to send its own pings, as while it joins with many others on a slow machine; a dead network does
not."""
READING_S = 0.1
"""What has arrived is read within this time."""
GOODBYE_S = 1.0
"""How long the server waits for the client's close frame."""
MAX_INVALID_MESSAGES = 20
"""A client with this many invalid messages is disconnected."""
STRANGER_BYTES = 2 * MAX_FIRST_MESSAGE_BYTES
"""Limit of bytes up to the end of the first message: the message, its framing, and some pings."""
_DISCARDED_AT_ONCE = 64
_CONTROL = (WSMsgType.PING, WSMsgType.PONG)
_DATA = (WSMsgType.BINARY, WSMsgType.TEXT)


@dataclass(slots=True)
class _Client:
    """A client that joined or resumed on this WebSocket."""

    actor: SessionActor
    connection: ConnectionId
    sink: WebSocketSink

    def send(self, outgoing: EncodedMessage) -> None:
        self.actor.answer(self.connection, self.sink, outgoing)

    @property
    def is_here(self) -> bool:
        return self.actor.is_at(self.connection, self.sink)


@dataclass(frozen=True, slots=True)
class _Socket:
    """One WebSocket with its sink and the HTTP connection under it."""

    ws: web.WebSocketResponse
    connection: WebSocketConnection
    encoding: Encoding
    sink: WebSocketSink


class WebSocketGate:
    """Handles `GET /v1/signal`."""

    def __init__(
        self,
        authenticator: Authenticator,
        directory: SessionDirectory,
        clock: Clock,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self._authenticator = authenticator
        self._directory = directory
        self._clock = clock
        self._signaling = settings.signaling
        self._origins = frozenset(settings.http.allowed_origins.split())
        self._metrics = metrics
        self._rates = IntakeRates(
            messages_per_s=self._signaling.messages_per_s,
            message_burst=self._signaling.message_burst,
            bytes_per_s=self._signaling.bytes_per_s,
            byte_burst=self._signaling.byte_burst,
        )
        self._queues = SendQueues(
            self._signaling.send_queue_bytes,
            self._signaling.send_queues_total_bytes,
            dropped=self._note_dropped,
        )

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Upgrades the connection and runs until the WebSocket ends.

        Errors: `origin_refused`, `upgrade_invalid`."""
        self._check_origin(request)
        ws = web.WebSocketResponse(
            protocols=tuple(ENCODINGS),
            max_msg_size=MAX_MESSAGE_BYTES,
            compress=False,
            timeout=GOODBYE_S,
            # Ping frames cost as much as messages, and are counted like them.
            autoping=False,
        )
        upgrade = ws.can_prepare(request)
        if not upgrade.ok or upgrade.protocol is None:
            names = " or ".join(ENCODINGS)
            raise error(
                ErrorCode.UPGRADE_INVALID,
                f"This resource accepts only WebSockets with the subprotocol {names}.",
            )
        connection = request.protocol
        if not isinstance(connection, WebSocketConnection):
            raise TypeError("a WebSocket needs a WebSocketConnection under it")
        connection.expect_stranger(STRANGER_BYTES)
        await ws.prepare(request)
        connection.begin()
        encoding = ENCODINGS[ws.ws_protocol or m.SUBPROTOCOL_MSGPACK]
        transport = request.transport
        if transport is None:
            return ws  # closed already
        sink = WebSocketSink(ws, connection, transport, encoding, self._queues)
        socket = _Socket(ws, connection, encoding, sink)
        try:
            await self._converse(socket, request.headers.get("Origin"))
        finally:
            await sink.finish()
            self._metrics.websocket_messages.labels("out").inc(sink.sent)
        return ws

    def _check_origin(self, request: web.Request) -> None:
        origin = request.headers.get("Origin")
        if origin is not None and "*" not in self._origins and origin not in self._origins:
            raise error(ErrorCode.ORIGIN_REFUSED, "This origin may not connect.")

    async def _converse(self, socket: _Socket, origin: str | None) -> None:
        try:
            client = await self._welcome(socket, origin)
        except DomainError as refused:
            _answer_error(socket.sink.send, refused)
            socket.sink.end(ERRORS[refused.code].close_code)
            socket.connection.await_client()
            self._metrics.joins.labels(refused.code.value).inc()
            return
        if client is None:
            return
        try:
            await self._listen(socket, client)
        finally:
            client.actor.detach(client.connection, socket.sink)

    async def _welcome(self, socket: _Socket, origin: str | None) -> _Client | None:
        """Errors: those of the first message, of admission and of joining."""
        try:
            # The TLS handshake and the request head count toward this time.
            allowed_s = socket.connection.time_left(self._signaling.hello_timeout_ms / 1000)
            async with asyncio.timeout(allowed_s):
                frame = await self._first_message(socket)
        except TimeoutError:
            raise PeerProtocolError(
                ErrorCode.INVALID_MESSAGE, "The first message did not come in time."
            ) from None
        if frame is None:
            return None
        socket.connection.work()
        begin_s = self._clock.monotonic_s()
        hello = _decode(frame, socket.encoding)
        if not isinstance(hello, m.Hello):
            raise PeerProtocolError(ErrorCode.INVALID_MESSAGE, "The first message must be 'hello'.")
        sink = socket.sink
        client = self._resume(hello, sink) or await self._join(hello, sink, origin)
        socket.connection.admit()
        self._metrics.joins.labels("ok").inc()
        self._metrics.join_seconds.observe(self._clock.monotonic_s() - begin_s)
        return client

    async def _first_message(self, socket: _Socket) -> WSMessage | None:
        """None: the WebSocket ended. Errors: `message_too_large`."""
        frame = await socket.ws.receive()
        while frame.type in _CONTROL:
            if frame.type is WSMsgType.PING:
                socket.sink.pong(frame.data)
            # STRANGER_BYTES limits their number; other tasks run in between.
            await asyncio.sleep(0)
            frame = await socket.ws.receive()
        # Other tasks run between the first messages that arrive in one turn of the loop.
        await asyncio.sleep(0)
        if socket.connection.overran or (
            frame.type in _DATA and len(frame.data) > MAX_FIRST_MESSAGE_BYTES
        ):
            raise PeerProtocolError(
                ErrorCode.MESSAGE_TOO_LARGE,
                f"The first message is limited to {MAX_FIRST_MESSAGE_BYTES:,} bytes.",
            )
        return frame if frame.type in _DATA else None

    def _resume(self, hello: m.Hello, sink: WebSocketSink) -> _Client | None:
        """Resumes a connection. The resume token replaces the client token, which may have expired.

        Errors: `resume_unknown`, `overloaded`. An unknown token does not become a join: the other
        clients would see a connection come and go, and the client would not know what it lost.
        """
        if hello.resume is None:
            return None
        actor = self._directory.find(hello.session_id)
        try:
            connection = None if actor is None else actor.resume(hello, sink)
        except DomainError as refused:
            raise _answering(refused, hello) from None
        if actor is None or connection is None:
            raise _answering(error(ErrorCode.RESUME_UNKNOWN), hello)
        return _Client(actor, connection, sink)

    async def _join(self, hello: m.Hello, sink: WebSocketSink, origin: str | None) -> _Client:
        try:
            admission = await self._authenticator.authenticate(
                hello.api_key, hello.session_id, hello.token, origin=origin
            )
        except DomainError as refused:
            if refused.code in REFUSED_TOKENS:
                self._metrics.authentication_failures.labels("websocket", refused.code.value).inc()
                audit.credentials_refused("websocket", refused, hello.api_key)
            raise _answering(refused, hello) from None
        try:
            actor = self._directory.open(admission.session, admission.quotas)
        except DomainError as refused:
            raise _answering(refused, hello) from None
        joining = JoiningClient.of(admission)
        try:
            return _Client(actor, actor.join(hello, joining, sink), sink)
        except DomainError as refused:
            raise _answering(refused, hello) from None

    async def _listen(self, socket: _Socket, client: _Client) -> None:
        interval_s = self._signaling.keep_alive_ms / 1000
        intake = Intake(self._rates, self._now_ms())
        invalid = 0
        received = 0
        try:
            while invalid < MAX_INVALID_MESSAGES:
                frame = await _receive_within(interval_s, socket)
                if frame is None:
                    log.info("silent client", connection=short(client.connection))
                    socket.sink.end(CLOSE_CODES["networkDisconnected"])
                    return
                if frame.type not in _DATA and frame.type not in _CONTROL:
                    return
                received += 1
                refused = self._take(frame, socket, client, intake)
                if refused is not None and not intake.tolerates(self._now_ms()):
                    self._expel(socket, client)
                    await _discard(socket)
                    return
                invalid += isinstance(refused, PeerProtocolError)
                # A burst of one client must not delay the others.
                await asyncio.sleep(0)
            socket.connection.hang_up(ERRORS[ErrorCode.INVALID_MESSAGE].close_code)
            await _discard(socket)
        finally:
            self._metrics.websocket_messages.labels("in").inc(received)

    def _take(
        self, frame: WSMessage, socket: _Socket, client: _Client, intake: Intake
    ) -> DomainError | None:
        """Handles one frame; returns the refusal if it violated the protocol or the rates."""
        if not intake.admits(len(frame.data), self._now_ms()):
            refused: DomainError = Refused(ErrorCode.RATE_LIMITED)
            if frame.type in _DATA:
                _answer_error(client.send, refused)
            self._metrics.websocket_refused.labels("undecoded").inc()
            return refused
        if frame.type in _CONTROL:
            if frame.type is WSMsgType.PING:
                socket.sink.pong(frame.data)
            return None
        return self._serve(frame, socket, client)

    def _serve(self, frame: WSMessage, socket: _Socket, client: _Client) -> DomainError | None:
        """Handles one message; returns the refusal if it violated the protocol or the rates."""
        if not client.is_here:
            return None
        try:
            message = _decode(frame, socket.encoding)
        except PeerProtocolError as refused:
            _answer_error(client.send, refused)
            self._metrics.websocket_refused.labels(refused.code.value).inc()
            return refused
        try:
            client.actor.handle_request(client.connection, message)
        except DomainError as refused:
            _answer_error(client.send, refused, message)
            self._metrics.websocket_refused.labels(refused.code.value).inc()
            return refused if refused.code is ErrorCode.RATE_LIMITED else None
        except Exception:
            log.exception("request failed", connection=short(client.connection))
            _answer_error(client.send, Unavailable(ErrorCode.INTERNAL), message)
        return None

    def _expel(self, socket: _Socket, client: _Client) -> None:
        """Disconnects a client that keeps exceeding its rates; it cannot resume."""
        log.info("message flood", connection=short(client.connection))
        refused = Refused(ErrorCode.MESSAGE_FLOOD)
        self._metrics.websocket_dropped.labels(refused.code.value).inc()
        _answer_error(client.send, refused)
        socket.connection.hang_up(ERRORS[refused.code].close_code)
        client.actor.expel(client.connection)

    def _note_dropped(self, reason: str) -> None:
        self._metrics.websocket_dropped.labels(reason).inc()

    def _now_ms(self) -> int:
        return int(self._clock.monotonic_s() * 1000)


async def _receive_within(interval_s: float, socket: _Socket) -> WSMessage | None:
    """None: the client was silent. After a pause of the whole process every timer is late, and what
    the clients sent meanwhile waits to be read: it counts."""
    asked_s = ASKED_INTERVALS * interval_s
    for limit_s in (asked_s, IDLE_INTERVALS * interval_s - asked_s, READING_S):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                return await socket.ws.receive()
        if limit_s == asked_s:
            socket.sink.ping()
    return None


async def _discard(socket: _Socket) -> None:
    """Discards frames that arrived before the hang-up, and lets other tasks run in between: closing
    the WebSocket would read all of them at once."""
    count = 0
    while (await socket.ws.receive()).type in (*_DATA, *_CONTROL):
        count += 1
        if count % _DISCARDED_AT_ONCE == 0:
            await asyncio.sleep(0)


def _decode(frame: WSMessage, encoding: Encoding) -> m.ClientMessage:
    if (frame.type is WSMsgType.TEXT) is not (encoding is Encoding.JSON):
        raise PeerProtocolError(
            ErrorCode.INVALID_MESSAGE, "The frame's type does not match the subprotocol."
        )
    return decode(frame.data, encoding)


def _answering(refused: DomainError, request: m.Request) -> DomainError:
    """Attaches the request that an error answers."""
    refused.__dict__["request"] = request
    return refused


def _answered(refused: DomainError) -> int | None:
    return refused.request_id if isinstance(refused, PeerProtocolError) else None


def _answer_error(
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
