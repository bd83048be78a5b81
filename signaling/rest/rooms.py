"""Rooms of the page at `/`: any visitor may open one, and every holder of its link may join.

A room is an end-to-end encrypted session of a separate project, so the tokens issued here are
valid nowhere else. The operator can turn rooms off.
"""

import asyncio
import json
import secrets
from dataclasses import dataclass, replace

import structlog
from aiohttp import web

from config.settings import HttpSettings, RoomsSettings
from signaling.administration import create_project, create_session
from signaling.clock import Clock
from signaling.domain.errors import BadRequest, DomainError, ErrorCode, NotFound, Refused
from signaling.domain.projects import Project
from signaling.domain.roles import Role
from signaling.domain.session_state import Bucket
from signaling.domain.tokens import TokenClaims, new_client_token
from signaling.http.answers import Answer, error_answer, json_answer
from signaling.http.client_networks import (
    NetworkBuckets,
    client_networks,
    is_client_of_proxy,
    networks_of,
)
from signaling.http.reading import read_body
from signaling.rest.bodies import json_fields
from signaling.storage.base import Store

log = structlog.get_logger(__name__)

ROOMS_PATH = "/v1/rooms"
PROJECT_NAME = "rooms of the page"
PROJECT_ID = "5ea1f0c1-0000-4000-8000-000000000001"
"""Its application id. The name does not identify it: names are not unique, and strangers get tokens
of this project."""
TOKEN_LIFETIME_S = 24 * 3600
MAX_BODY_BYTES = 4_096
MAX_NAME_CHARS = 60


@dataclass(frozen=True, slots=True)
class _Request:
    """`session` is None for a new room; `networks` are those of the visitor."""

    session: str | None
    name: str
    networks: tuple[str, ...]


class Rooms:
    """Handles `POST /v1/rooms` and `POST /v1/rooms/{session}`, both without credentials."""

    def __init__(
        self, store: Store, clock: Clock, settings: RoomsSettings, http: HttpSettings
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._project: Project | None = None
        self._finding = asyncio.Lock()
        self._read_timeout_s = http.read_timeout_ms / 1000
        self._proxies = networks_of(http.trusted_proxies)
        burst, joins = float(settings.per_minute), float(settings.joins_per_room)
        self._opened = Bucket(burst, self._now_ms())
        self._joined = Bucket(burst * joins, self._now_ms())
        # Charged first, so that a network above its limit does not use up the limit of all.
        of_network = float(settings.per_minute_of_network)
        self._opened_by = NetworkBuckets(of_network, of_network / 60)
        self._joined_by = NetworkBuckets(of_network * joins, of_network * joins / 60)

    async def handle(self, request: web.Request) -> Answer:
        """Errors are answers with the body of the REST API."""
        try:
            if not self._settings.enabled:
                raise NotFound(ErrorCode.NOT_FOUND)
            wanted = await self._read(request)
            return json_answer(200, await self._enter(wanted))
        except DomainError as refused:
            return error_answer(refused)

    async def _enter(self, wanted: _Request) -> dict[str, str]:
        project = await self._rooms_project()
        if wanted.session is None:
            self._take_of_networks(self._opened_by, wanted.networks)
            self._take(self._opened, self._settings.per_minute)
            fields: dict[str, object] = {"e2ee": True, "p2p.preference": "disabled"}
            record = await create_session(self._store, self._clock, project.api_key, fields)
            session, role = record.session_id, Role.MODERATOR
        else:
            self._take_of_networks(self._joined_by, wanted.networks)
            found = await self._store.session(wanted.session)
            if found is None or found.project_id != project.api_key:
                raise NotFound(ErrorCode.SESSION_NOT_FOUND)
            self._take(self._joined, self._settings.per_minute * self._settings.joins_per_room)
            session, role = found.session_id, Role.PUBLISHER
        now_s = int(self._clock.unix_s())
        claims = TokenClaims(
            session_id=session,
            role=role,
            expires_s=now_s + TOKEN_LIFETIME_S,
            connection_data=json.dumps({"name": wanted.name}),
        )
        token = new_client_token(project, claims, now_s, secrets.randbelow(1_000_000))
        return {"apiKey": project.api_key, "sessionId": session, "token": token}

    async def _rooms_project(self) -> Project:
        # One at a time: concurrent first visitors must not create a project each.
        async with self._finding:
            if self._project is None:
                self._project = await self._store.project_named(PROJECT_ID)
            if self._project is None:
                self._project = await self._new_project()
        return self._project

    async def _new_project(self) -> Project:
        try:
            return await create_project(
                self._store,
                self._clock,
                name=PROJECT_NAME,
                e2ee_enabled=True,
                change=lambda project: replace(project, application_id=PROJECT_ID),
            )
        except BadRequest:
            # Another server with the same database was faster.
            found = await self._store.project_named(PROJECT_ID)
            if found is None:
                raise
            return found

    def _take(self, bucket: Bucket, per_minute: float) -> None:
        try:
            bucket.take(self._now_ms(), per_minute / 60, per_minute)
        except DomainError:
            raise Refused(ErrorCode.RATE_LIMITED, "Too many rooms; try again.") from None

    def _take_of_networks(self, buckets: NetworkBuckets, networks: tuple[str, ...]) -> None:
        if is_client_of_proxy(networks, self._proxies):
            return
        if not buckets.takes(networks, self._now_ms()):
            raise Refused(
                ErrorCode.RATE_LIMITED, "Too many requests from your network; wait a minute."
            )

    def _now_ms(self) -> int:
        return int(self._clock.monotonic_s() * 1000)

    async def _read(self, request: web.Request) -> _Request:
        body = await read_body(request, MAX_BODY_BYTES, self._read_timeout_s)
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ()))
        networks = client_networks(request.remote, forwarded, self._proxies)
        return _Request(request.match_info.get("session"), _name(body), networks)


def _name(body: bytes) -> str:
    name = json_fields(body).get("name", "")
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, f"'name' is one line of up to {MAX_NAME_CHARS} characters."
        )
    return name
