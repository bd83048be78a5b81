"""The WebSockets of clients: upgrade, admission, incoming messages, and detection of lost clients.

The actor interprets messages. This module handles frames, deadlines and slow readers: a client that
does not read costs a bounded queue for a bounded time.
"""

import asyncio
import contextlib
from dataclasses import dataclass

import structlog
from aiohttp import WSMessage, WSMsgType, web

from config.settings import Settings
from signaling.authenticator import Authenticator
from signaling.clock import Clock
from signaling.domain.errors import (
    ERRORS,
    DomainError,
    ErrorCode,
    PeerProtocolError,
    Refused,
    Unavailable,
    error,
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
from signaling.sessions.directory import SessionDirectory
from signaling.websocket.elsewhere import Comer, Elsewhere
from signaling.websocket.sink import CLOSE_CODES, SendQueues, WebSocketSink
from signaling.websocket.slots import Seating, Slot, answer_error

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
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """`elsewhere`: the other nodes of a cluster; None where there is no other."""
        self._elsewhere = elsewhere
        self._seating = Seating(authenticator, directory, metrics)
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
            answer_error(socket.sink.send, refused)
            socket.sink.end(ERRORS[refused.code].close_code)
            socket.connection.await_client()
            self._metrics.joins.labels(refused.code.value).inc()
            return
        if client is None:
            return
        try:
            await self._listen(socket, client)
        finally:
            client.detach()

    async def _welcome(self, socket: _Socket, origin: str | None) -> Slot | None:
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
        client = await self._slot(hello, frame, socket, origin)
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

    async def _slot(
        self, hello: m.Hello, frame: WSMessage, socket: _Socket, origin: str | None
    ) -> Slot:
        """Errors: those of admission, of resuming and of joining."""
        seating, sink = self._seating, socket.sink
        admission = None if hello.resume is not None else await seating.admit(hello, origin)
        if self._elsewhere is not None:
            record = await seating.record(hello) if admission is None else admission.session
            data = frame.data.encode() if isinstance(frame.data, str) else frame.data
            comer = Comer(hello, data, record, socket.encoding, sink, origin, admission)
            slot = await self._elsewhere.slot(comer)
            if slot is not None:
                return slot
        if admission is None:
            return seating.resume(hello, sink)
        return seating.join(hello, admission, sink)

    async def _listen(self, socket: _Socket, client: Slot) -> None:
        interval_s = self._signaling.keep_alive_ms / 1000
        intake = Intake(self._rates, self._now_ms())
        invalid = 0
        received = 0
        try:
            while invalid < MAX_INVALID_MESSAGES:
                frame = await _receive_within(interval_s, socket)
                if frame is None:
                    log.info("silent client", connection=client.name)
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
        self, frame: WSMessage, socket: _Socket, client: Slot, intake: Intake
    ) -> DomainError | None:
        """Handles one frame; returns the refusal if it violated the protocol or the rates."""
        if not intake.admits(len(frame.data), self._now_ms()):
            refused: DomainError = Refused(ErrorCode.RATE_LIMITED)
            if frame.type in _DATA:
                answer_error(client.answer, refused)
            self._metrics.websocket_refused.labels("undecoded").inc()
            return refused
        if frame.type in _CONTROL:
            if frame.type is WSMsgType.PING:
                socket.sink.pong(frame.data)
            return None
        return self._serve(frame, socket, client)

    def _serve(self, frame: WSMessage, socket: _Socket, client: Slot) -> DomainError | None:
        """Handles one message; returns the refusal if it violated the protocol or the rates."""
        if not client.is_here:
            return None
        try:
            message = _decode(frame, socket.encoding)
        except PeerProtocolError as refused:
            answer_error(client.answer, refused)
            self._metrics.websocket_refused.labels(refused.code.value).inc()
            return refused
        try:
            client.handle(message, frame.data)
        except DomainError as refused:
            answer_error(client.answer, refused, message)
            self._metrics.websocket_refused.labels(refused.code.value).inc()
            return refused if refused.code is ErrorCode.RATE_LIMITED else None
        except Exception:
            log.exception("request failed", connection=client.name)
            answer_error(client.answer, Unavailable(ErrorCode.INTERNAL), message)
        return None

    def _expel(self, socket: _Socket, client: Slot) -> None:
        """Disconnects a client that keeps exceeding its rates; it cannot resume."""
        log.info("message flood", connection=client.name)
        refused = Refused(ErrorCode.MESSAGE_FLOOD)
        self._metrics.websocket_dropped.labels(refused.code.value).inc()
        answer_error(client.answer, refused)
        socket.connection.hang_up(ERRORS[refused.code].close_code)
        client.expel()

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
