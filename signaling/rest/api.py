"""The REST API as one aiohttp handler: find the route, authenticate the project, run the handler.

Paths are matched here and not by the framework: repeated and trailing slashes are ignored, and the
optional base path `/e2ee` makes end-to-end encrypted sessions the default.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import unquote

import structlog
from aiohttp import web

from config.settings import HttpSettings
from signaling.domain.errors import (
    DomainError,
    ErrorCode,
    MethodNotAllowed,
    NotFound,
    Unavailable,
)
from signaling.http.answers import Answer, error_answer, xml_error_answer
from signaling.http.reading import read_body
from signaling.rest import features
from signaling.rest.at_home import answered
from signaling.rest.call import Call, Services
from signaling.rest.everywhere import elsewhere_of
from signaling.rest.homeward import Homeward, forwarded_of
from signaling.rest.identity import identify
from signaling.rest.requests import read_query, read_shape
from signaling.rest.routes import ROUTES, Route

log = structlog.get_logger(__name__)

E2EE_BASE = "e2ee"
_MAX_SEGMENT_CHARS = 255
_PARSES_XML_ERRORS = "OpenTok-Python-SDK/"
UNMATCHED = "unmatched"


@dataclass
class _Node:
    """A node of the path tree; `wild` is the child for a parameter."""

    children: "dict[str, _Node]" = field(default_factory=dict)
    wild: "_Node | None" = None
    routes: dict[str, tuple[Route, tuple[str, ...]]] = field(default_factory=dict)


def _tree(routes: tuple[Route, ...]) -> _Node:
    root = _Node()
    for route in routes:
        node = root
        names = []
        for segment in route.template.strip("/").split("/"):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.wild = node.wild or _Node()
                node = node.wild
            else:
                node = node.children.setdefault(segment, _Node())
        node.routes[route.method] = (route, tuple(names))
    return root


_TREE = _tree(ROUTES)


@dataclass(frozen=True, slots=True)
class Match:
    route: Route
    path: Mapping[str, str]
    e2ee_default: bool


def find_route(method: str, raw_path: str) -> Match:
    """The route of a request. Errors: `not_found`, `method_not_allowed`."""
    segments = [unquote(part) for part in raw_path.split("/") if part]
    e2ee_default = bool(segments) and segments[0] == E2EE_BASE
    node: _Node | None = _TREE
    values = []
    for segment in segments[1:] if e2ee_default else segments:
        if node is None or len(segment) > _MAX_SEGMENT_CHARS:
            raise NotFound(ErrorCode.NOT_FOUND)
        child = node.children.get(segment)
        if child is None:
            values.append(segment)
            child = node.wild
        node = child
    if node is None or not node.routes:
        raise NotFound(ErrorCode.NOT_FOUND)
    if method not in node.routes:
        raise MethodNotAllowed(node.routes)
    route, names = node.routes[method]
    return Match(route, dict(zip(names, values, strict=True)), e2ee_default)


def is_rest_path(raw_path: str) -> bool:
    """Whether a path belongs to the API rather than to the static files."""
    first = next((part for part in raw_path.split("/") if part), "")
    return first in (E2EE_BASE, "v2", "session")


class RestApi:
    """`homeward`: the homes of sessions in a cluster; None where there is no other node."""

    def __init__(
        self, services: Services, settings: HttpSettings, homeward: Homeward | None = None
    ) -> None:
        self._services = services
        self._settings = settings
        self._homeward = homeward

    async def handle(self, request: web.Request) -> web.Response:
        """Answers any request, and never raises."""
        begin_s = self._services.clock.monotonic_s()
        template = UNMATCHED
        try:
            match = find_route(request.method, request.rel_url.raw_path)
            template = match.route.template
            answer = await self._answer(request, match)
        except DomainError as failure:
            answer = self._refusal(request, template, failure)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("rest request failed", route=template)
            answer = error_answer(Unavailable(ErrorCode.INTERNAL))
        metrics = self._services.metrics
        method = request.method if template != UNMATCHED else "any"
        metrics.rest_requests.labels(method, template, str(answer.status)).inc()
        metrics.rest_seconds.labels(template).observe(self._services.clock.monotonic_s() - begin_s)
        return _response(answer)

    async def _answer(self, request: web.Request, match: Match) -> Answer:
        """Checks credentials, project of the path, body and feature gate, then runs the handler."""
        credential, project = await identify(
            request.headers,
            self._services.authenticator,
            self._services.metrics,
            match.path.get("project"),
        )
        route = match.route
        settings = self._settings
        body = await read_body(request, settings.max_body_bytes, settings.read_timeout_ms / 1000)
        fields = route.read_body(body)
        if route.query is not None:
            read_query(request.rel_url.query, route.query)
        forwarded = None if self._homeward is None else forwarded_of(request, body)
        call = Call(
            services=self._services,
            project=project,
            credential_kind=credential.kind,
            path=match.path,
            fields=fields,
            body=None if route.body is None else read_shape(fields, route.body),
            query=request.rel_url.query,
            user_agent=request.headers.get("User-Agent", ""),
            accept=request.headers.get("Accept", ""),
            e2ee_default=match.e2ee_default,
            elsewhere=elsewhere_of(self._homeward, forwarded),
        )
        if self._homeward is None or forwarded is None:
            return await _handled(route, call)
        here = partial(_handled, route, call)
        return await answered(self._homeward, route, call, forwarded, here)

    @staticmethod
    def _refusal(request: web.Request, template: str, failure: DomainError) -> Answer:
        agent = request.headers.get("User-Agent", "")
        if template == "/session/create" and agent.startswith(_PARSES_XML_ERRORS):
            return xml_error_answer(failure)
        return error_answer(failure)


async def _handled(route: Route, call: Call) -> Answer:
    if route.needs_clear_media is not None:
        await features.gate(call, route.needs_clear_media)
    return await route.handler(call)


def _response(answer: Answer) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body or None)
    response.headers.popall("Content-Type", None)
    response.headers.update(answer.headers)
    return response
