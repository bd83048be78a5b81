"""The input of a REST handler: one authenticated request and the services it may use."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

import msgspec

from sfu.target_policy import TargetPolicy
from signaling.archives.service import Archives
from signaling.authenticator import Authenticator
from signaling.broadcasts.service import Broadcasts
from signaling.calls.service import SipCalls
from signaling.captions.service import Captions
from signaling.clock import Clock
from signaling.connectors.service import AudioConnectors
from signaling.domain.errors import ErrorCode, NotFound
from signaling.domain.jwt_claims import Kind
from signaling.domain.projects import Project
from signaling.domain.session_options import SessionRecord
from signaling.egress.members import Members
from signaling.metrics import Metrics
from signaling.renders.service import Renders
from signaling.rest import replies
from signaling.rest.bodies import Fields
from signaling.rest.live_sessions import LiveSessions
from signaling.rest.requests import Shape
from signaling.storage.base import Store

Elsewhere = Callable[[int], Awaitable["ListedElsewhere"]]
"""Asks the other nodes for that many of their sessions with clients, each for its oldest."""


@dataclass(frozen=True, slots=True)
class ListedElsewhere:
    """`count`: of all at the other nodes. `silent`: the nodes that did not answer."""

    count: int
    items: tuple[replies.LiveSession, ...]
    silent: tuple[str, ...]


class ProjectFields(TypedDict, total=False):
    """One of the two ids of a project."""

    project_id: str
    application_id: str


@dataclass(frozen=True, slots=True)
class Services:
    """Created by the composition root. `random_bytes(n)` is `os.urandom` in production."""

    store: Store
    authenticator: Authenticator
    live: LiveSessions
    metrics: Metrics
    clock: Clock
    random_bytes: Callable[[int], bytes] = field(repr=False)
    archives: Archives
    broadcasts: Broadcasts
    connectors: AudioConnectors
    calls: SipCalls
    renders: Renders
    members: Members
    captions: Captions
    callback_targets: TargetPolicy = field(default_factory=TargetPolicy)


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `e2ee_default` is true below the `/e2ee` base path; `body` has the type that the
    route table names, `fields` is the same untyped. `elsewhere`: None where there are no other
    nodes, or another one asks."""

    services: Services
    project: Project
    credential_kind: Kind
    path: Mapping[str, str]
    fields: Fields
    query: Mapping[str, str]
    user_agent: str
    accept: str
    e2ee_default: bool = False
    body: msgspec.Struct | None = field(default=None, repr=False)
    elsewhere: Elsewhere | None = field(default=None, repr=False)

    def read(self, shape: type[Shape]) -> Shape:
        """The body as the type that the route table names."""
        if not isinstance(self.body, shape):
            raise TypeError("the route table names another body")
        return self.body

    async def session(self, session_id: str | None = None) -> SessionRecord:
        """The session of the path (or the given one). Errors: `session_not_found`."""
        wanted = self.path["session"] if session_id is None else session_id
        record = await self.services.authenticator.session_of(self.project, wanted)
        if record is None:
            raise NotFound(ErrorCode.SESSION_NOT_FOUND)
        return record

    @property
    def dialect(self) -> str:
        """The generation of SDKs: they differ in credentials and in names."""
        return "unified" if self.credential_kind == "application" else "legacy"

    def project_fields(self) -> ProjectFields:
        """The project's id in answers, in the dialect of the credential."""
        if self.credential_kind == "application":
            return {"application_id": self.project.application_id}
        return {"project_id": self.project.api_key}
