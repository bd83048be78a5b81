"""The HTTP surface of one server as an aiohttp application: REST, WebSocket, probes, web files."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from config.settings import HttpSettings
from signaling.clock import Clock
from signaling.domain.errors import DomainError, ErrorCode, MethodNotAllowed, NotFound
from signaling.http.answers import Answer, error_answer, json_answer
from signaling.http.reading import refuse_compressed
from signaling.http.static_files import WEB_ROOT, file_response, find_file, refusal_of
from signaling.metrics import CONTENT_TYPE, Metrics
from signaling.rest.admin_api import AdminApi
from signaling.rest.api import RestApi, is_rest_path
from signaling.rest.call import Services
from signaling.rest.homeward import Homeward
from signaling.rest.openapi import OPENAPI_PATH
from signaling.rest.rooms import ROOMS_PATH, Rooms
from signaling.rest.served_document import openapi_answer
from signaling.storage.base import Store

CHECK_S = 1.0
WEBSOCKET_PATH = "/v1/signal"
_READING = ("GET", "HEAD")
WebSocketHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Readiness:
    """`accepting` is false from the start of the shutdown."""

    accepting: bool = True


@dataclass(frozen=True, slots=True)
class Surface:
    """The parts of the application; `http_media` are the routes of WHIP and WHEP,
    `homeward` the homes of sessions in a cluster."""

    services: Services
    http: HttpSettings
    websocket: WebSocketHandler
    rooms: Rooms
    http_media: Sequence[web.RouteDef] = ()
    readiness: Readiness = field(default_factory=Readiness)
    homeward: Homeward | None = None
    web_root: Path = WEB_ROOT


class StorageCheck:
    """Whether new sessions can be stored. Any client may ask, so it writes at most once per
    `CHECK_S`. Used on the event loop only."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._checking = asyncio.Lock()
        self._next_s = 0.0
        self._writable = False

    async def accepts_sessions(self) -> bool:
        async with self._checking:
            now_s = self._clock.monotonic_s()
            if now_s >= self._next_s:
                try:
                    await self._store.check_writing()
                    self._writable = True
                except DomainError:
                    self._writable = False
                self._next_s = self._clock.monotonic_s() + CHECK_S
            return self._writable


class WebApp:
    """The applications of both listeners, and the handlers without a route table of their own."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._storage = StorageCheck(surface.services.store, surface.services.clock)
        self._rest = RestApi(surface.services, surface.http, surface.homeward)
        self._admin = AdminApi(
            surface.services.store, surface.services.clock, self.metrics, surface.http
        )

    def build(self) -> web.Application:
        app = web.Application(
            client_max_size=self._surface.http.max_body_bytes,
            middlewares=[_compressed_refused],
        )
        self._add_health(app)
        app.router.add_get(OPENAPI_PATH, self._openapi)
        app.router.add_get(WEBSOCKET_PATH, self._surface.websocket)
        app.router.add_routes(self._surface.http_media)
        app.router.add_post(ROOMS_PATH, self._rooms)
        app.router.add_post(ROOMS_PATH + "/{session}", self._rooms)
        # Also newlines: a path may contain them percent-encoded.
        app.router.add_route("*", r"/{path:[\s\S]*}", self._other)
        app.on_response_prepare.append(_add_headers)
        return app

    def build_operations(self) -> web.Application:
        """The operators' application: metrics and the admin API."""
        app = web.Application(middlewares=[_compressed_refused])
        self._add_health(app)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_routes(self._admin.routes())
        app.router.add_route("*", r"/{path:[\s\S]*}", self._nothing)
        app.on_response_prepare.append(_add_headers)
        return app

    def _add_health(self, app: web.Application) -> None:
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._ready)

    @property
    def metrics(self) -> Metrics:
        return self._surface.services.metrics

    async def _health(self, _request: web.Request) -> web.Response:
        return _plain(json_answer(200, {"status": "ok"}))

    async def _ready(self, _request: web.Request) -> web.Response:
        """Ready: the server accepts new clients, and the storage accepts new sessions. Running
        calls and joins to existing sessions need no write."""
        if not self._surface.readiness.accepting:
            return _plain(json_answer(503, {"status": "draining"}))
        if not await self._storage.accepts_sessions():
            return _plain(json_answer(503, {"status": "storage unavailable"}))
        return _plain(json_answer(200, {"status": "ready"}))

    async def _openapi(self, _request: web.Request) -> web.Response:
        return _plain(openapi_answer())

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def _rooms(self, request: web.Request) -> web.Response:
        return _plain(await self._surface.rooms.handle(request))

    async def _nothing(self, request: web.Request) -> web.Response:
        """405 with the allowed methods if the path exists, otherwise 404."""
        allowed: set[str] = set()
        for resource in request.app.router.resources():
            match, methods = await resource.resolve(request)
            if match is None:  # otherwise it is the catch-all route itself
                allowed |= methods
        return _absent(sorted(allowed))

    async def _other(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if is_rest_path(path):
            return await self._rest.handle(request)
        file = find_file(self._surface.web_root, path)
        if file is None:
            return await self._nothing(request)
        if request.method not in _READING:
            return _absent(_READING)
        refusal = refusal_of(request, file)
        if refusal is not None:
            return _plain(error_answer(refusal))
        return file_response(file, request.headers.get("Host", ""))


def _absent(allowed: Collection[str]) -> web.Response:
    refusal = MethodNotAllowed(allowed) if allowed else NotFound(ErrorCode.NOT_FOUND)
    return _plain(error_answer(refusal))


def _plain(answer: Answer) -> web.Response:
    return web.Response(
        status=answer.status,
        body=answer.body,
        headers=answer.headers,
    )


@web.middleware
async def _compressed_refused(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuses compressed bodies on every route, before a body is read."""
    try:
        refuse_compressed(request)
    except DomainError as refused:
        return _plain(error_answer(refused))
    return await handler(request)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Headers of every response. `Server` does not reveal the library's version."""
    response.headers["Server"] = "Sealroute"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    if request.secure:
        # The server terminates TLS itself, so it may promise that TLS stays.
        response.headers["Strict-Transport-Security"] = "max-age=31536000"


def listening_line(url: str, media_port: int, *, as_json: bool) -> str:
    """The line that `serve` prints when it accepts clients; scripts wait for it."""
    if as_json:
        return json.dumps({"event": "listening", "url": url, "mediaPort": media_port})
    return f"Sealroute listens on {url} (media: UDP {media_port})"
