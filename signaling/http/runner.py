"""The HTTP server under the application: nobody holds a connection by being slow, and also what
is no HTTP request is answered in JSON.

The library has no deadline for a request's head, a TLS handshake or a reader of an answer; and it
would repeat the peer's bytes in its answer and in its log, where there could be a token among them.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from config.settings import HttpSettings
from signaling.domain.errors import (
    BadRequest,
    DomainError,
    ErrorCode,
    MethodNotAllowed,
    Unavailable,
    error,
)
from signaling.domain.session_state import Bucket
from signaling.http.answers import Answer, error_answer
from signaling.http.connection_gate import ConnectionGate, Ending, Place
from signaling.http.library import LibraryRunner, LibraryServer
from signaling.http.listener import Listener, Reception, bound_sockets
from signaling.http.patient_response import PatientResponse
from signaling.http.request_gate import RETRY_AFTER_S, RequestGate
from signaling.http.websocket_connection import WebSocketConnection

log = structlog.get_logger(__name__)

MAX_FIELD_BYTES = 16_384
"""Of one header: tokens of the SDKs travel in them."""
BACKLOG = 1_024
"""Connections that the kernel holds until they are accepted; a flood must leave room for others."""
LINGERING_S = 1.0
"""How long the rest of a body that nobody wants is read, on top of the time for the request:
whoever still sends has to find the answer."""


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

    __slots__ = ("_deadlines", "_gate", "_head_deadline", "_places", "bucket")

    def __init__(
        self,
        manager: "_Server",
        place: Place | None,
        accepted_s: float,
        **options: Any,  # noqa: ANN401 - the library's
    ) -> None:
        deadlines = manager.deadlines
        super().__init__(
            manager,
            keepalive_timeout=deadlines.idle_s,
            lingering_time=LINGERING_S,
            **options,
        )
        self.began_s = accepted_s
        self._gate, self._places = manager.gate, manager.places
        self.place = place
        self.bucket: Bucket | None = None
        self._deadlines = deadlines
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.place is not None:
            self.place.ends_by(self._abort)
        if self._gate is not None:
            peer = transport.get_extra_info("peername")
            self.bucket = self._gate.bucket(peer[0] if peer else None)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        requests = self.requests_begun
        # Who waits for a request waits for its head; bytes of a body come while one is handled.
        waits = self.waits_for_request
        if waits and self._head_deadline is None:
            self.began_s = self.loop.time()
        super().data_received(data)
        if self.requests_begun != requests:
            self._forget_head()
        elif waits and self._head_deadline is None:
            self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._forget_head()
        if self.place is not None:
            self.place.leave()
        super().connection_lost(exc)

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _expect_head(self) -> None:
        by_s = self.began_s + self._deadlines.head_s
        self._head_deadline = self.loop.call_at(by_s, self._drop)

    def _forget_head(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _drop(self) -> None:
        self._head_deadline = None
        log.debug("slow client", reason="request head")
        self._count(Ending.HEAD_TIMEOUT)
        self.force_close()

    def _count(self, ending: Ending) -> None:
        if self._places is not None:
            self._places.count(ending)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """A peer that does not read its answer loses it."""
        transport = self.transport
        self.await_client()
        extra_s = resp.extra_s if isinstance(resp, PatientResponse) else 0.0
        try:
            async with asyncio.timeout(self._deadlines.answer_s + extra_s):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            log.debug("slow client", reason="answer")
            self._count(Ending.ANSWER_TIMEOUT)
            if transport is not None:
                transport.abort()
            return resp, True
        finally:
            # The next request may be here already: it has waited for its turn.
            self.began_s = self.loop.time()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - holds the peer's bytes
    ) -> web.StreamResponse:
        """Errors: `ConnectionError` when the answer has begun already."""
        if isinstance(exc, ConnectionError) and _is_gone(request):
            log.debug("client gone", reason=type(exc).__name__)
            answer = error_answer(Unavailable(ErrorCode.INTERNAL))
        elif status >= 500:
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


def _is_gone(request: web.BaseRequest) -> bool:
    """Nobody reads what is answered, and nothing has failed here."""
    return request.transport is None or request.transport.is_closing()


def _last_response(answer: Answer, **headers: str) -> web.Response:
    """Of a connection, which ends behind it."""
    response = web.Response(
        status=answer.status,
        body=answer.body,
        headers={**answer.headers, "Server": "Sealroute", **headers},
    )
    response.force_close()
    return response


_MEANINGS = {
    404: ErrorCode.NOT_FOUND,
    413: ErrorCode.BODY_TOO_LARGE,
    417: ErrorCode.EXPECTATION_FAILED,
}


def _meaning(refused: web.HTTPException) -> DomainError:
    """What the library refuses by itself, in our words: its own may repeat the peer's."""
    if isinstance(refused, web.HTTPMethodNotAllowed):
        return MethodNotAllowed(sorted(refused.allowed_methods))
    if refused.status in _MEANINGS:
        return error(_MEANINGS[refused.status])
    if refused.status >= 500:
        return Unavailable(ErrorCode.INTERNAL)
    return BadRequest(ErrorCode.BODY_INVALID, "This is no valid HTTP request.")


async def _answered(handler: "_Handler", request: web.BaseRequest) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as refused:
        return _last_response(error_answer(_meaning(refused)))
    except DomainError as refused:
        return _last_response(error_answer(refused))


_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _behind(gate: RequestGate | None, handler: _Handler) -> _Handler:
    """The handler of all requests, for those that the gate admits."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        own = None
        if isinstance(connection, _Connection):
            connection.work()
            own = connection.bucket
        refusal: DomainError | None = None if gate is None else gate.refusal(request, own)
        if gate is None or refusal is None:
            return await _answered(handler, request)
        log.debug("request refused", reason=refusal.message)
        if not await gate.hold() and request.transport is not None:
            request.transport.abort()
        answer = error_answer(refusal)
        return _last_response(answer, **{"Retry-After": str(RETRY_AFTER_S)})

    return handle


class _Server(LibraryServer):
    def __init__(self, made: web.Server, deadlines: Deadlines, gates: "Gates") -> None:
        super().__init__(made, _behind(gates.requests, made.request_handler))
        self.deadlines, self.gate, self.places = deadlines, gates.requests, gates.connections

    def connection(self, place: Place | None, accepted_s: float) -> _Connection:
        return _Connection(self, place, accepted_s, **self.connection_options)


@dataclass(frozen=True, slots=True)
class Gates:
    """Of one listener: what limits strangers before a route is asked. None: nothing does."""

    requests: RequestGate | None = None
    connections: ConnectionGate | None = None


class HttpRunner(LibraryRunner):
    """Runs an application; the other parts of the library are as they come."""

    __slots__ = ("_deadlines", "_gates")

    def __init__(
        self, app: web.Application, deadlines: Deadlines, gates: Gates | None = None
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
        self._deadlines, self._gates = deadlines, gates or Gates()

    def twin(self, made: web.Server) -> web.Server:
        return _Server(made, self._deadlines, self._gates)

    @property
    def addresses(self) -> list[Any]:
        return [
            address for site in self.sites if isinstance(site, _Site) for address in site.addresses
        ]

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Errors: `OSError` when the address cannot be bound; then nothing stays open."""
        await self.listen_on(await bound_sockets(host, port), tls)

    async def listen_on(self, bound: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        """Takes the sockets over. Errors: `OSError` when another process was quicker; then nothing
        stays open."""
        await self.setup()
        server = self.server
        if not isinstance(server, _Server):
            raise TypeError("the runner was set up with another server")
        reception = Reception(
            server.connection, self._gates.connections, tls, self._deadlines.head_s
        )
        site = _Site(self, bound, reception)
        try:
            await site.start()
        except OSError:
            for each in bound:
                each.close()
            await self.cleanup()
            raise


class _Site(web.TCPSite):
    """One listening address. A TLS handshake has a deadline, and every connection a place."""

    __slots__ = ("_bound", "_listener", "_reception")

    def __init__(
        self, runner: HttpRunner, bound: Sequence[socket.socket], reception: Reception
    ) -> None:
        host, port = bound[0].getsockname()[:2]
        super().__init__(runner, host, port, backlog=BACKLOG)
        self._bound = bound
        self._reception = reception
        self._listener: Listener | None = None

    async def start(self) -> None:
        await web.BaseSite.start(self)
        for each in self._bound:
            each.listen(BACKLOG)
        self._listener = Listener(self._bound, self._reception)

    async def stop(self) -> None:
        await super().stop()
        if self._listener is not None:
            self._listener.close()

    @property
    def addresses(self) -> list[Any]:
        listener = self._listener
        return [] if listener is None else [one.getsockname() for one in listener.sockets]
