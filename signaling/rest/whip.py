"""WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): publish and play with HTTP and no SDK.

`POST /whip/{session}` publishes, `POST /whep/{session}/{stream}` plays; the bearer token is a
client token of the session. DELETE on the answer's `Location` ends it. Such a client is a
Connection like any other for REST, callbacks and moderation.
"""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog
from aiohttp import web

from config.settings import HttpSettings
from sfu.ids import short
from signaling import audit
from signaling.authenticator import Authenticator
from signaling.domain.errors import REFUSED_TOKENS, DomainError, ErrorCode, MethodNotAllowed, error
from signaling.domain.publishing import check_encryption
from signaling.domain.session_ids import project_of
from signaling.domain.session_options import MediaMode, SessionRecord
from signaling.domain.tokens import Admission
from signaling.http.answers import error_answer
from signaling.http.reading import body_chunks, time_for
from signaling.metrics import Metrics
from signaling.rest import whip_requests as requests
from signaling.rest.homeward import Homeward, forwarded_of
from signaling.sessions.client_slot import JoiningClient
from signaling.sessions.directory import SessionDirectory
from signaling.sessions.http_client import HttpClient, hello_of, publish_of

log = structlog.get_logger(__name__)

MAX_OFFER_BYTES = 131_072
RESOURCE_BYTES = 16
_BODY = web.RequestKey("body", str)
_HOMEWARD: web.RequestKey[Homeward] = web.RequestKey("homeward")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Beginning = Callable[[HttpClient], Awaitable["_Answered"]]
CORS = {
    "Access-Control-Allow-Methods": "POST, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, "
    f"{requests.E2EE_HEADER}, {requests.KIDS_HEADER}",
    "Access-Control-Expose-Headers": "ETag, Link, Location, Sealroute-Connection, Sealroute-Stream",
    "Access-Control-Max-Age": "86400",
}


@dataclass(frozen=True, slots=True)
class _Resource:
    """The resource of a `Location`. `ice` is the client's ufrag and pwd, `etag` its ICE session."""

    path: str
    client: HttpClient
    token_digest: bytes
    etag: str
    ice: tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Answered:
    sdp: str
    stream: str


class WhipGate:
    """Handles everything below `/whip` and `/whep`."""

    def __init__(
        self,
        authenticator: Authenticator,
        directory: SessionDirectory,
        settings: HttpSettings,
        metrics: Metrics,
    ) -> None:
        self._authenticator = authenticator
        self._directory = directory
        self._origins = frozenset(settings.allowed_origins.split())
        self._read_timeout_s = settings.read_timeout_ms / 1000
        self._metrics = metrics
        self._resources: dict[str, _Resource] = {}

    def routes(self, homeward: Homeward | None = None) -> list[web.RouteDef]:
        """Of one listener. `homeward`: the homes of sessions in a cluster, as requests that come
        there reach them; None where there is no other node."""

        def at(handler: _Handler) -> _Handler:
            async def handle(request: web.Request) -> web.StreamResponse:
                if homeward is not None:
                    request[_HOMEWARD] = homeward
                return await handler(request)

            return handle

        endpoint, resource = at(self.handle_endpoint), at(self.handle_resource)
        return [
            web.route("*", "/whip/{session}", endpoint),
            web.route("*", "/whep/{session}/{stream}", endpoint),
            web.route("*", "/whip/{session}/resource/{resource}", resource),
            web.route("*", "/whep/{session}/{stream}/resource/{resource}", resource),
        ]

    async def handle_endpoint(self, request: web.Request) -> web.StreamResponse:
        """POST starts; OPTIONS tells browsers and clients what they may send."""
        if request.method == "OPTIONS":
            return self._with_cors(request, web.Response(status=204), {"Accept-Post": requests.SDP})
        if request.method != "POST":
            return self._with_cors(request, _failed(MethodNotAllowed(("POST", "OPTIONS"))))
        return await self._guarded(request, self._begin)

    async def handle_resource(self, request: web.Request) -> web.StreamResponse:
        """DELETE ends, PATCH accepts candidates."""
        if request.method == "OPTIONS":
            accepts = {"Accept-Patch": requests.FRAGMENT}
            return self._with_cors(request, web.Response(status=204), accepts)
        handlers = {"DELETE": self._end, "PATCH": self._patch}
        handler = handlers.get(request.method)
        if handler is None:
            return self._with_cors(request, _failed(MethodNotAllowed((*handlers, "OPTIONS"))))
        return await self._guarded(request, partial(self._at_resource, handler))

    # --- start -------------------------------------------------------------------------------

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        role: requests.Role = "whep" if request.path.startswith("/whep/") else "whip"
        token = _required_token(request)
        _require_type(request, requests.SDP)
        session = request.match_info["session"]
        admission = await self._authenticator.authenticate(
            project_of(session), session, token, origin=request.headers.get("Origin")
        )
        record = admission.session
        passed = await self._passed_on(request, record)
        if passed is not None:
            return passed
        if record.options.media_mode is MediaMode.RELAYED:
            text = "Only routed sessions support WHIP and WHEP."
            raise error(ErrorCode.FEATURE_NEEDS_ROUTED, text)
        formats = requests.formats_of(request.headers)
        if record.options.e2ee and not formats:
            raise error(ErrorCode.E2EE_UNSUPPORTED)
        offer = requests.offered(await self._body(request), role)
        do = self._playing if role == "whep" else self._publishing
        begin = do(request, admission, offer, formats)
        name = secrets.token_urlsafe(RESOURCE_BYTES)
        client = HttpClient(lambda: self._forget(name))
        joining = JoiningClient.of(admission)
        hello = hello_of(session, record.project_id, role, formats)
        client.join(self._directory.open(record, admission.quotas), hello, joining)
        # The client has joined: any later failure must end its connection.
        try:
            answered = await begin(client)
            path = f"{request.path}/resource/{name}"
            etag = f'"{secrets.token_urlsafe(RESOURCE_BYTES)}"'
            resource = _Resource(path, client, _digest(token), etag, offer.ice)
            response = _created(resource, answered)
            # If the connection has ended meanwhile, nothing would remove the entry.
            client.check_present()
            self._resources[name] = resource
        except BaseException:
            client.leave()
            raise
        self._metrics.joins.labels("ok").inc()
        log.info("http client", role=role, connection=short(client.connection or ""))
        return response

    def _publishing(
        self,
        request: web.Request,
        admission: Admission,
        offer: requests.Offered,
        formats: tuple[str, ...],
    ) -> _Beginning:
        """The publishing of a client. Errors: `permission_denied`, `invalid_parameter`,
        `e2ee_required`: refused before the join instead of after it."""
        title = request.query.get("name", "")[: requests.MAX_NAME_CHARS]
        tracks = requests.tracks_of(offer, requests.kids_of(request.headers))
        wanted = publish_of(offer.text, tracks, title, formats[0] if formats else None)
        if not admission.capabilities.publish:
            raise error(ErrorCode.PERMISSION_DENIED)
        check_encryption(wanted, e2ee=admission.session.options.e2ee)

        async def begin(client: HttpClient) -> _Answered:
            published = await client.publish(wanted)
            return _Answered(published.answer, published.stream_id)

        return begin

    def _playing(
        self,
        request: web.Request,
        admission: Admission,
        offer: requests.Offered,
        _formats: tuple[str, ...],
    ) -> _Beginning:
        """The playing of a client. Errors: `permission_denied`, `stream_not_found`."""
        stream = request.match_info["stream"]
        actor = self._directory.find(admission.session.session_id)
        if not admission.capabilities.subscribe:
            raise error(ErrorCode.PERMISSION_DENIED)
        if actor is None:
            raise error(ErrorCode.STREAM_NOT_FOUND)
        actor.state.live_stream(stream)

        async def begin(client: HttpClient) -> _Answered:
            return _Answered(client.play(stream, offer.text), stream)

        return begin

    async def _passed_on(
        self, request: web.Request, record: SessionRecord
    ) -> web.StreamResponse | None:
        """What the session's home answers; None: it is here. Errors: `home_away`, and those of the
        body."""
        homeward = _homeward_of(request)
        if homeward is None:
            return None
        forwarded = forwarded_of(request, (await self._body(request)).encode())
        # Who plays a stream of an empty session is refused, and begins nothing.
        begins = request.method == "POST" and request.path.startswith("/whip/")
        answer = await homeward.answer(record, forwarded, begins=begins)
        if answer is None:
            return None
        response = web.Response(status=answer.status, body=answer.body)
        response.headers.popall("Content-Type", None)
        for name, text in answer.headers:
            response.headers.add(name, text)
        return response

    async def _body(self, request: web.Request) -> str:
        """Errors: `sdp_too_large`, `body_invalid`."""
        if _BODY not in request:
            request[_BODY] = await self._read_body(request)
        return request[_BODY]

    async def _read_body(self, request: web.Request) -> str:
        body = bytearray()
        try:
            async with time_for(request, self._read_timeout_s):
                async for chunk in body_chunks(request):
                    body += chunk
                    if len(body) > MAX_OFFER_BYTES:
                        raise error(ErrorCode.SDP_TOO_LARGE)
            return body.decode()
        except TimeoutError:
            raise error(ErrorCode.BODY_INVALID, "The body took too long.") from None
        except UnicodeDecodeError:
            raise error(ErrorCode.SDP_INVALID) from None

    # --- later requests ----------------------------------------------------------------------

    async def _at_resource(self, handler: _Handler, request: web.Request) -> web.StreamResponse:
        """At the home of the session that the path names. Errors: those of the request."""
        is_known = request.match_info["resource"] in self._resources
        if not is_known and _homeward_of(request) is not None:
            _required_token(request)
            session = request.match_info["session"]
            record = await self._authenticator.known_session(project_of(session), session)
            passed = None if record is None else await self._passed_on(request, record)
            if passed is not None:
                return passed
        return await handler(request)

    async def _end(self, request: web.Request) -> web.StreamResponse:
        self._resource(request).client.leave()
        return web.Response(status=200)

    async def _patch(self, request: web.Request) -> web.StreamResponse:
        """Accepts candidates, which the server does not need: it is ICE-lite, and the client's
        checks reveal its address. ICE restarts are not supported (422, RFC 9725 section 4.3)."""
        resource = self._resource(request)
        _require_type(request, requests.FRAGMENT)
        matches = request.headers.get("If-Match")
        if matches is None:
            raise error(ErrorCode.PRECONDITION_MISSING)
        ice = requests.ice_of(await self._body(request))
        restarts = ice is not None and ice != resource.ice
        if matches.strip() == "*" or restarts:
            raise error(ErrorCode.ICE_RESTART_UNSUPPORTED)
        if resource.etag not in [tag.strip() for tag in matches.split(",")]:
            raise error(ErrorCode.PRECONDITION_FAILED, "If-Match names another ICE session.")
        return web.Response(status=204, headers={"ETag": resource.etag})

    def _resource(self, request: web.Request) -> _Resource:
        """Errors: 401, 404. Another client's token gets 404."""
        token = _required_token(request)
        resource = self._resources.get(request.match_info["resource"])
        if (
            resource is None
            or resource.path != request.path
            or not hmac.compare_digest(resource.token_digest, _digest(token))
        ):
            raise error(ErrorCode.NOT_FOUND)
        return resource

    def _forget(self, name: str) -> None:
        self._resources.pop(name, None)

    # --- answers -----------------------------------------------------------------------------

    async def _guarded(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            self._check_origin(request)
            response = await handler(request)
        except DomainError as failure:
            response = _failed(failure)
            if request.method == "POST":
                self._metrics.joins.labels(failure.code.value).inc()
            if failure.code in REFUSED_TOKENS:
                self._metrics.authentication_failures.labels("whip", failure.code.value).inc()
                audit.credentials_refused("whip", failure, _claimed_project(request))
        except Exception:
            log.exception("whip request failed", method=request.method)
            response = _failed(error(ErrorCode.INTERNAL))
        return self._with_cors(request, response)

    def _check_origin(self, request: web.Request) -> None:
        origin = request.headers.get("Origin")
        if origin is not None and "*" not in self._origins and origin not in self._origins:
            raise error(ErrorCode.ORIGIN_REFUSED, "This origin may not connect.")

    def _with_cors(
        self,
        request: web.Request,
        response: web.StreamResponse,
        more: Mapping[str, str] | None = None,
    ) -> web.StreamResponse:
        response.headers.update(CORS)
        response.headers.update(more or {})
        response.headers["Cache-Control"] = "no-store"
        origin = request.headers.get("Origin")
        if "*" in self._origins:
            response.headers["Access-Control-Allow-Origin"] = "*"
        elif origin in self._origins:
            response.headers["Access-Control-Allow-Origin"] = str(origin)
            response.headers["Vary"] = "Origin"
        return response


def _homeward_of(request: web.Request) -> Homeward | None:
    return request.get(_HOMEWARD)


def _claimed_project(request: web.Request) -> str:
    try:
        return project_of(request.match_info["session"])
    except DomainError:
        return ""


def _required_token(request: web.Request) -> str:
    token = requests.bearer_of(request.headers)
    if token is None:
        raise error(
            ErrorCode.CREDENTIALS_INVALID, "The request needs a client token as bearer token."
        )
    return token


def _require_type(request: web.Request, wanted: str) -> None:
    if request.content_type != wanted:
        raise error(ErrorCode.CONTENT_TYPE_INVALID, f"The content type must be {wanted}.")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _created(resource: _Resource, answered: _Answered) -> web.Response:
    response = web.Response(status=201, body=answered.sdp.encode(), content_type=requests.SDP)
    response.headers["Location"] = resource.path
    response.headers["ETag"] = resource.etag
    response.headers["Accept-Patch"] = requests.FRAGMENT
    response.headers["Sealroute-Stream"] = answered.stream
    response.headers["Sealroute-Connection"] = str(resource.client.connection)
    for link in requests.ice_links(resource.client.ice_servers):
        response.headers.add("Link", link)
    return response


def _failed(failure: DomainError) -> web.Response:
    """The status as in REST, except 401 for a missing or invalid token, as for bearer tokens."""
    answer = error_answer(failure)
    headers, status = answer.headers, answer.status
    if failure.code is ErrorCode.CREDENTIALS_INVALID:
        status = 401
        headers["WWW-Authenticate"] = "Bearer"
    elif failure.code in REFUSED_TOKENS:
        status = 401
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return web.Response(status=status, body=answer.body, headers=headers)
