"""One client's WebSocket: messages in, messages out, and when it is taken for lost.

What a message means is the actor's business. This module knows frames, deadlines and slow
readers: a client that does not read costs a bounded queue, and a bounded time.
"""

import asyncio
import contextlib
from dataclasses import dataclass

import structlog
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from config.settings import Settings
from sfu.ids import ConnectionId, short
from signaling import audit
from signaling.actor import JoiningClient, SessionActor
from signaling.authenticator import Authenticator
from signaling.clock import Clock
from signaling.directory import SessionDirectory
from signaling.domain.errors import (
    ERRORS,
    SERVICE_RESTART,
    DomainError,
    ErrorCode,
    PeerProtocolError,
    Unavailable,
    sdk_error,
)
from signaling.metrics import Metrics
from signaling.outlet import Outgoing
from signaling.protocol import messages as m
from signaling.protocol.codec import MAX_MESSAGE_BYTES, Encoding, decode

log = structlog.get_logger(__name__)

ENCODINGS = {
    m.SUBPROTOCOL_MSGPACK: Encoding.MSGPACK,
    m.SUBPROTOCOL_JSON: Encoding.JSON,
}
IDLE_INTERVALS = 2.5
"""Silent keep-alive intervals after which a client is taken for lost: one ping may be late."""
SLOW_READER_S = 10.0
"""How long the oldest message may wait for a client to read before its WebSocket is dropped."""
GOODBYE_S = 1.0
"""How long the end of a WebSocket waits for the client's own close frame."""
MAX_INVALID_MESSAGES = 20
"""A client that does not speak the protocol is not going to learn it."""
CLOSE_CODES = {
    "clientDisconnected": WSCloseCode.OK,
    "forceDisconnected": 4403,
    "networkDisconnected": 4408,
    "serverShutdown": SERVICE_RESTART,
}


class _Outlet:
    """The way out of one WebSocket.

    A message is one frame, written at once; the loop sends what was written in one turn together.
    In a full room that is most of what signaling costs, so nothing else stands in between: no
    queue, no task. What the client has not read yet waits in the transport, in bounds.
    """

    def __init__(
        self,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        encoding: Encoding,
        limit_bytes: int,
    ) -> None:
        self._ws = ws
        self._transport = transport
        self._first_byte = _FIRST_BYTES[encoding]
        self._encoding = encoding
        self._limit_bytes = limit_bytes
        self._written = 0
        self._reading_check: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[bool] | None = None
        self.sent = 0

    def send(self, outgoing: Outgoing) -> None:
        if self._closing is not None or self._ws.closed or self._transport.is_closing():
            return
        data = outgoing.encoded(self._encoding)
        frame = _header(self._first_byte, len(data)) + data
        self._transport.write(frame)
        self._written += len(frame)
        self.sent += 1
        waiting = self._transport.get_write_buffer_size()
        if waiting > self._limit_bytes:
            self._transport.abort()
        elif waiting and self._reading_check is None:
            self._check_later()

    def close(self, reason: str) -> None:
        if self._closing is None:
            goodbye = m.Disconnected(reason=reason)  # type: ignore[arg-type]
            self.send(Outgoing(goodbye))
            self.end(CLOSE_CODES[reason])

    def end(self, code: int) -> None:
        """Closes the WebSocket after what was sent before; nothing more is sent."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._ws.close(code=code))

    async def finish(self) -> None:
        """Lets what was said last go out, if the client still reads."""
        self.end(WSCloseCode.OK)
        if self._closing is not None:
            with contextlib.suppress(asyncio.CancelledError, ConnectionError, TimeoutError):
                async with asyncio.timeout(SLOW_READER_S):
                    await self._closing
        if self._reading_check is not None:
            self._reading_check.cancel()

    def _check_later(self) -> None:
        """What waits now must be read in time, or the client is dropped."""
        loop = asyncio.get_running_loop()
        self._reading_check = loop.call_later(SLOW_READER_S, self._check_reading, self._written)

    def _check_reading(self, written_then: int) -> None:
        self._reading_check = None
        waiting = self._transport.get_write_buffer_size()
        if self._written - waiting < written_then:
            self._transport.abort()
        elif waiting:
            self._check_later()


_FIRST_BYTES = {Encoding.JSON: 0x81, Encoding.MSGPACK: 0x82}
"""A whole text or binary message (RFC 6455 section 5.2); what a server sends is not masked."""
_SHORT_BYTES, _MEDIUM_BYTES = 125, 0xFFFF


def _header(first_byte: int, length: int) -> bytes:
    if length <= _SHORT_BYTES:
        return bytes((first_byte, length))
    if length <= _MEDIUM_BYTES:
        return bytes((first_byte, 126)) + length.to_bytes(2)
    return bytes((first_byte, 127)) + length.to_bytes(8)


@dataclass(slots=True)
class _Client:
    """A client that was welcomed on this WebSocket."""

    actor: SessionActor
    connection: ConnectionId


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

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Upgrades, and stays until the WebSocket ends."""
        refusal = self._refuse_upgrade(request)
        if refusal is not None:
            return refusal
        ws = web.WebSocketResponse(
            protocols=tuple(ENCODINGS),
            max_msg_size=MAX_MESSAGE_BYTES,
            compress=False,
            timeout=GOODBYE_S,
        )
        await ws.prepare(request)
        encoding = ENCODINGS[ws.ws_protocol or m.SUBPROTOCOL_MSGPACK]
        transport = request.transport
        if transport is None:
            return ws  # gone already
        outlet = _Outlet(ws, transport, encoding, self._signaling.send_queue_bytes)
        try:
            await self._converse(ws, encoding, outlet, request.headers.get("Origin"))
        finally:
            await outlet.finish()
            self._metrics.websocket_messages.labels("out").inc(outlet.sent)
        return ws

    def _refuse_upgrade(self, request: web.Request) -> web.Response | None:
        origin = request.headers.get("Origin")
        if origin is not None and "*" not in self._origins and origin not in self._origins:
            return web.json_response(
                {"code": 403, "message": "This origin may not connect."}, status=403
            )
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if not any(name.strip() in ENCODINGS for name in offered.split(",")):
            text = f"The WebSocket subprotocol must be one of: {', '.join(ENCODINGS)}."
            return web.json_response({"code": 400, "message": text}, status=400)
        return None

    async def _converse(
        self, ws: web.WebSocketResponse, encoding: Encoding, outlet: _Outlet, origin: str | None
    ) -> None:
        try:
            client = await self._welcome(ws, encoding, outlet, origin)
        except DomainError as refused:
            _answer_error(outlet, refused)
            outlet.end(ERRORS[refused.code].close_code)
            self._metrics.joins.labels(refused.code.value).inc()
            return
        if client is None:
            return
        try:
            await self._listen(ws, encoding, outlet, client)
        finally:
            client.actor.detach(client.connection, outlet)

    async def _welcome(
        self, ws: web.WebSocketResponse, encoding: Encoding, outlet: _Outlet, origin: str | None
    ) -> _Client | None:
        """Errors: those of the first message, of admission and of joining."""
        try:
            async with asyncio.timeout(self._signaling.hello_timeout_ms / 1000):
                frame = await ws.receive()
        except TimeoutError:
            raise PeerProtocolError(
                ErrorCode.INVALID_MESSAGE, "The first message did not come in time."
            ) from None
        if frame.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
            return None
        begin_s = self._clock.monotonic_s()
        hello = self._decode(frame, encoding)
        if not isinstance(hello, m.Hello):
            raise PeerProtocolError(ErrorCode.INVALID_MESSAGE, "The first message must be 'hello'.")
        client = self._resume(hello, outlet) or await self._join(hello, outlet, origin)
        self._metrics.joins.labels("ok").inc()
        self._metrics.join_seconds.observe(self._clock.monotonic_s() - begin_s)
        return client

    def _resume(self, hello: m.Hello, outlet: _Outlet) -> _Client | None:
        """The resume token is as good as the client's token, which may have expired since."""
        if hello.resume is None:
            return None
        actor = self._directory.find(hello.session_id)
        connection = None if actor is None else actor.resume(hello, outlet)
        if actor is None or connection is None:
            return None
        return _Client(actor, connection)

    async def _join(self, hello: m.Hello, outlet: _Outlet, origin: str | None) -> _Client:
        try:
            admission = await self._authenticator.authenticate(
                hello.api_key, hello.session_id, hello.token, origin=origin
            )
        except DomainError as refused:
            if refused.code in (ErrorCode.AUTHENTICATION_FAILED, ErrorCode.TOKEN_EXPIRED):
                self._metrics.authentication_failures.labels("websocket").inc()
                audit.credentials_refused("websocket", refused, hello.api_key)
            raise _answering(refused, hello) from None
        try:
            actor = self._directory.open(admission.session, admission.quotas)
        except DomainError as refused:
            raise _answering(refused, hello) from None
        joining = JoiningClient(
            admission.capabilities, admission.connection_data, admission.layout_classes
        )
        try:
            return _Client(actor, actor.join(hello, joining, outlet))
        except DomainError as refused:
            raise _answering(refused, hello) from None

    async def _listen(
        self, ws: web.WebSocketResponse, encoding: Encoding, outlet: _Outlet, client: _Client
    ) -> None:
        idle_s = self._signaling.keep_alive_ms * IDLE_INTERVALS / 1000
        invalid = 0
        received = 0
        try:
            while invalid < MAX_INVALID_MESSAGES:
                try:
                    async with asyncio.timeout(idle_s):
                        frame = await ws.receive()
                except TimeoutError:
                    log.info("silent client", connection=short(client.connection))
                    outlet.end(CLOSE_CODES["networkDisconnected"])
                    return
                if frame.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                    return
                received += 1
                invalid += not self._serve(frame, encoding, outlet, client)
            outlet.end(ERRORS[ErrorCode.INVALID_MESSAGE].close_code)
        finally:
            self._metrics.websocket_messages.labels("in").inc(received)

    def _serve(
        self, frame: WSMessage, encoding: Encoding, outlet: _Outlet, client: _Client
    ) -> bool:
        """One message. False: it did not keep the protocol."""
        try:
            message = self._decode(frame, encoding)
        except PeerProtocolError as refused:
            _answer_error(outlet, refused)
            return False
        try:
            client.actor.handle_request(client.connection, message)
        except DomainError as refused:
            _answer_error(outlet, refused, message)
        except Exception:
            log.exception("request failed", connection=short(client.connection))
            _answer_error(outlet, Unavailable(ErrorCode.INTERNAL), message)
        return True

    def _decode(self, frame: WSMessage, encoding: Encoding) -> m.ClientMessage:
        if (frame.type is WSMsgType.TEXT) is not (encoding is Encoding.JSON):
            raise PeerProtocolError(
                ErrorCode.INVALID_MESSAGE, "The frame's type does not fit the subprotocol."
            )
        return decode(frame.data, encoding)


def _answering(refused: DomainError, request: m.Request) -> DomainError:
    """Notes the request that an error is to answer."""
    refused.__dict__["request"] = request
    return refused


def _answered(refused: DomainError) -> int | None:
    return refused.request_id if isinstance(refused, PeerProtocolError) else None


def _answer_error(outlet: _Outlet, refused: DomainError, request: m.Request | None = None) -> None:
    request = request or refused.__dict__.get("request")
    tag = None if request is None else request.__struct_config__.tag
    name, number = sdk_error(refused.code, str(tag) if tag is not None else None)
    outlet.send(
        Outgoing(
            m.Error(
                code=refused.code.value,
                name=name,
                number=number,
                message=refused.message,
                re=_answered(refused) if request is None else request.id,
            )
        )
    )
