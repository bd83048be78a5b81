"""The admin API, `/admin/v1/…`: projects over HTTP, for operators with a token.

Everything is JSON. A table names the routes; each of them needs `Authorization: Bearer` with an
operator's token. Only the answer that creates a secret contains it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec
import structlog
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from config.settings import HttpSettings
from signaling import administration, audit
from signaling.clock import Clock
from signaling.domain.errors import (
    ERRORS,
    BadRequest,
    DomainError,
    ErrorCode,
    NotFound,
    Unauthorized,
    Unavailable,
)
from signaling.domain.operators import token_hash
from signaling.domain.project_changes import ProjectChange, changed, with_key, without_key
from signaling.domain.projects import Project
from signaling.http.answers import Answer, error_answer, json_answer
from signaling.http.reading import read_body
from signaling.metrics import Metrics
from signaling.storage.base import ProjectEdit, Store

log = structlog.get_logger(__name__)

ADMIN_PATH = "/admin/v1"
_MAX_PATH = 255
_DAY_S = 86_400
_MAX_GRACE_S = 30 * _DAY_S
_Limit = Annotated[int, Meta(ge=1, lt=2**31)] | None | UnsetType


class _Body(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The body of a request; an absent member leaves its property unchanged."""


class Properties(_Body, frozen=True, kw_only=True):
    """Properties of a project. A limit of null removes it."""

    name: str | UnsetType = UNSET
    e2ee: bool | UnsetType = UNSET
    e2ee_by_default: bool | UnsetType = UNSET
    allowed_origins: tuple[str, ...] | UnsetType = UNSET
    max_sessions: _Limit = UNSET
    max_connections: _Limit = UNSET
    max_publish_bps: _Limit = UNSET

    def change(self) -> ProjectChange:
        return ProjectChange(
            name=_or_none(self.name),
            e2ee_enabled=_or_none(self.e2ee),
            e2ee_by_default=_or_none(self.e2ee_by_default),
            allowed_origins=_or_none(self.allowed_origins),
            max_sessions=_limit(self.max_sessions),
            max_connections=_limit(self.max_connections),
            max_publish_bps=_limit(self.max_publish_bps),
        )


class Rotation(_Body, frozen=True):
    """`grace_s`: how long the old secret stays valid."""

    grace_s: Annotated[int, Meta(ge=0, le=_MAX_GRACE_S)] = _DAY_S


class PublicKey(_Body, frozen=True):
    """PEM of an RSA public key."""

    public_key: Annotated[str, Meta(max_length=16_384)]


def _or_none(value: "_Value | UnsetType") -> "_Value | None":
    return None if isinstance(value, UnsetType) else value


def _limit(value: int | UnsetType | None) -> int | None:
    """The limit as in `ProjectChange`: None leaves it unchanged, 0 removes it."""
    if isinstance(value, UnsetType):
        return None
    return 0 if value is None else value


_Shape = TypeVar("_Shape", bound=_Body)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class _Call:
    project: str
    key: str
    body: bytes

    def read(self, shape: type[_Shape]) -> _Shape:
        """Errors: `invalid_parameter`."""
        try:
            return msgspec.json.decode(self.body or b"{}", type=shape)
        except (msgspec.ValidationError, msgspec.DecodeError) as cause:
            raise BadRequest(ErrorCode.INVALID_PARAMETER, f"{cause}.") from None
        except UnicodeDecodeError:
            text = "The body is not UTF-8 text."
            raise BadRequest(ErrorCode.INVALID_PARAMETER, text) from None


_Handler = Callable[[_Call], Awaitable[Answer]]


class AdminApi:
    """Stateless: the store has all data."""

    def __init__(
        self, store: Store, clock: Clock, metrics: Metrics, settings: HttpSettings
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._settings = settings

    def routes(self) -> list[web.RouteDef]:
        table: tuple[tuple[str, str, _Handler], ...] = (
            ("GET", "/projects", self._list),
            ("POST", "/projects", self._create),
            ("GET", "/projects/{project}", self._show),
            ("PATCH", "/projects/{project}", self._update),
            ("DELETE", "/projects/{project}", self._remove),
            ("POST", "/projects/{project}/secret", self._rotate),
            ("POST", "/projects/{project}/keys", self._add_key),
            ("DELETE", "/projects/{project}/keys/{key}", self._retire_key),
        )
        found = [
            web.route(method, ADMIN_PATH + path, self._handler(run)) for method, path, run in table
        ]
        return [
            *found,
            web.route("*", ADMIN_PATH + "{rest:(?s:(/.*)?)}", self._handler(_nothing_here)),
        ]

    def _handler(self, run: _Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                answer = await self._answer(request, run)
            except DomainError as refused:
                answer = error_answer(refused)
            except Exception:
                log.exception("admin request failed", method=request.method)
                answer = error_answer(Unavailable(ErrorCode.INTERNAL))
            return web.Response(
                status=answer.status,
                body=answer.body,
                headers=answer.headers,
            )

        return handle

    async def _answer(self, request: web.Request, run: _Handler) -> Answer:
        """Authenticates, runs and audits a request; refused changes are audited, too."""
        operator = await self._operator(request)
        info = request.match_info
        status = 0
        try:
            settings = self._settings
            body = await read_body(
                request, settings.max_body_bytes, settings.read_timeout_ms / 1000
            )
            answer = await run(_Call(info.get("project", ""), info.get("key", ""), body))
            status = answer.status
        except DomainError as refused:
            status = ERRORS[refused.code].http_status
            raise
        finally:
            if request.method != "GET":
                audit.administered(operator, request.method, request.path[:_MAX_PATH], status)
        return answer

    async def _operator(self, request: web.Request) -> str:
        """The operator's name. The token is looked up by its hash, so timing reveals nothing."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token and token.isascii():
            operator = await self._store.operators.operator_with(token_hash(token.strip()))
            if operator is not None:
                return operator.name
        refused = Unauthorized(
            ErrorCode.CREDENTIALS_INVALID, "This request needs an operator's token."
        )
        self._metrics.authentication_failures.labels("admin", refused.code.value).inc()
        audit.credentials_refused("admin", refused)
        raise refused

    async def _list(self, _call: _Call) -> Answer:
        return json_answer(200, [self._described(one) for one in await self._store.projects()])

    async def _create(self, call: _Call) -> Answer:
        change = call.read(Properties).change()
        made = await administration.create_project(
            self._store,
            self._clock,
            change=lambda project: changed(project, change),
        )
        return json_answer(201, {**self._described(made), **administration.credentials(made)})

    async def _show(self, call: _Call) -> Answer:
        found = await administration.existing_project(self._store, call.project)
        return json_answer(200, self._described(found))

    async def _update(self, call: _Call) -> Answer:
        change = call.read(Properties).change()
        return await self._change(call, lambda project: changed(project, change))

    async def _remove(self, call: _Call) -> Answer:
        gone = await administration.remove_project(self._store, call.project)
        return json_answer(200, self._described(gone))

    async def _rotate(self, call: _Call) -> Answer:
        grace_ms = call.read(Rotation).grace_s * 1_000
        made = await administration.rotate_secret(self._store, self._clock, call.project, grace_ms)
        return json_answer(200, {**self._described(made), **administration.credentials(made)})

    async def _add_key(self, call: _Call) -> Answer:
        pem = call.read(PublicKey).public_key
        return await self._change(call, lambda project: with_key(project, pem))

    async def _retire_key(self, call: _Call) -> Answer:
        return await self._change(call, lambda project: without_key(project, call.key))

    async def _change(self, call: _Call, change: ProjectEdit) -> Answer:
        project = await administration.change_project(self._store, call.project, change)
        return json_answer(200, self._described(project))

    def _described(self, project: Project) -> dict[str, object]:
        return administration.described(project, int(self._clock.unix_s() * 1_000))


async def _nothing_here(_call: _Call) -> Answer:
    raise NotFound(ErrorCode.NOT_FOUND)
