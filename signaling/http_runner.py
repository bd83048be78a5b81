"""The HTTP server under the application: nobody holds a connection by being slow, and also what
is no HTTP request is answered in JSON.

The library has no deadline for a request's head, a TLS handshake or a reader of an answer; and it
would repeat the peer's bytes in its answer and in its log, where there could be a token among them.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from config.settings import HttpSettings
from signaling.domain.errors import BadRequest, DomainError, ErrorCode, Unavailable
from signaling.domain.session_state import Bucket
from signaling.request_gate import RETRY_AFTER_S, RequestGate
from signaling.rest.answers import Answer, error_answer
from signaling.websocket_connection import WebSocketConnection

log = structlog.get_logger(__name__)

MAX_FIELD_BYTES = 16_384
"""Of one header: tokens of the SDKs travel in them."""
BACKLOG = 1_024
"""Connections that the kernel holds until they are accepted; a flood must leave room for others."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a peer may take for the head of a request, for reading an answer, and for nothing
    at all between two requests."""

    head_s: float
    answer_s: float
    idle_s: float

    @classmethod
    def of(cls, http: HttpSettings) -> "Deadlines":
        return cls(
            head_s=http.read_timeout_ms / 1000,
            answer_s=http.write_timeout_ms / 1000,
            idle_s=http.idle_timeout_ms / 1000,
        )


class _Connection(WebSocketConnection):
    """One connection of a peer."""

    __slots__ = ("_deadlines", "_gate", "_head_deadline", "bucket")

    def __init__(self, manager: "_Server", **options: Any) -> None:  # noqa: ANN401 - the library's
        deadlines = manager.deadlines
        super().__init__(manager, keepalive_timeout=deadlines.idle_s, **options)
        self._gate = manager.gate
        self.bucket: Bucket | None = None
        self._deadlines = deadlines
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._gate is not None:
            peer = transport.get_extra_info("peername")
            self.bucket = self._gate.bucket(peer[0] if peer else None)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        requests = self._request_count
        # Who waits for a request waits for its head; bytes of a body come while one is handled.
        waits = self._waiter is not None and not self._waiter.done()
        super().data_received(data)
        if self._request_count != requests:
            self._forget_head()
        elif waits and self._head_deadline is None:
            self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._head_deadline = self._loop.call_later(self._deadlines.head_s, self._drop)

    def _forget_head(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _drop(self) -> None:
        self._head_deadline = None
        log.debug("slow client", reason="request head")
        self.force_close()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """A peer that does not read its answer loses it."""
        transport = self.transport
        try:
            async with asyncio.timeout(self._deadlines.answer_s):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            log.debug("slow client", reason="answer")
            if transport is not None:
                transport.abort()
            return resp, True

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - holds the peer's bytes
    ) -> web.StreamResponse:
        """Errors: `ConnectionError` when the answer has begun already."""
        if status >= 500:
            log.error("request failed", exc_info=exc)
            answer = error_answer(Unavailable(ErrorCode.INTERNAL))
        else:
            log.info("no HTTP request", reason=type(exc).__name__)
            answer = error_answer(
                BadRequest(ErrorCode.BODY_INVALID, "This is no valid HTTP request.")
            )
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        return _last_response(answer)


def _last_response(answer: Answer, **headers: str) -> web.Response:
    """Of a connection, which ends behind it."""
    response = web.Response(
        status=answer.status,
        body=answer.body,
        headers={"Content-Type": answer.content_type, "Server": "Sealroute", **headers},
    )
    response.force_close()
    return response


_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _behind(gate: RequestGate, handler: _Handler) -> _Handler:
    """The handler of all requests, for those that the gate admits."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        own = connection.bucket if isinstance(connection, _Connection) else None
        refusal: DomainError | None = gate.refusal(request, own)
        if refusal is None:
            return await handler(request)
        log.debug("request refused", reason=refusal.message)
        if not await gate.hold() and request.transport is not None:
            request.transport.abort()
        answer = error_answer(refusal)
        return _last_response(answer, **{"Retry-After": str(RETRY_AFTER_S)})

    return handle


class _Server(web.Server):
    def __init__(self, made: web.Server, deadlines: Deadlines, gate: RequestGate | None) -> None:
        handler = made.request_handler
        super().__init__(
            handler if gate is None else _behind(gate, handler),
            request_factory=made.request_factory,
            loop=made._loop,  # noqa: SLF001 - a twin of the library's own
            **made._kwargs,  # noqa: SLF001 - the same
        )
        self.deadlines, self.gate = deadlines, gate

    def __call__(self) -> _Connection:
        return _Connection(self, loop=self._loop, **self._kwargs)


class HttpRunner(web.AppRunner):
    """Runs an application; the other parts of the library are as they come."""

    __slots__ = ("_deadlines", "_gate")

    def __init__(
        self, app: web.Application, deadlines: Deadlines, gate: RequestGate | None = None
    ) -> None:
        super().__init__(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            max_field_size=MAX_FIELD_BYTES,
            # Compressed bodies are refused; the library must not have opened them by then.
            auto_decompress=False,
        )
        self._deadlines, self._gate = deadlines, gate

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server(), self._deadlines, self._gate)

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Errors: `OSError` when the address can not be had; then nothing stays open."""
        await self.setup()
        site = _Site(self, host, port, ssl_context=tls, backlog=BACKLOG, reuse_address=True)
        site.handshake_s = self._deadlines.head_s
        try:
            await site.start()
        except OSError:
            await self.cleanup()
            raise


class _Site(web.TCPSite):
    """One listening address. A TLS handshake has a deadline."""

    __slots__ = ("handshake_s",)

    handshake_s: float

    async def start(self) -> None:
        await web.BaseSite.start(self)
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner has no server")
        # The loop would take IPv6 alone for "::"; for media it means both families.
        both = _both_families(self._port, self._backlog) if self._host == "::" else None
        where = {"host": self._host, "port": self._port, "reuse_address": self._reuse_address}
        self._server = await asyncio.get_running_loop().create_server(
            server,
            ssl=self._ssl_context,
            ssl_handshake_timeout=None if self._ssl_context is None else self.handshake_s,
            backlog=self._backlog,
            **(where if both is None else {"sock": both}),
        )


def _both_families(port: int, backlog: int) -> socket.socket:
    """A socket on `::` that takes IPv4 too. Errors: `OSError`."""
    opened = socket.create_server(
        ("::", port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True
    )
    opened.setblocking(False)
    return opened
