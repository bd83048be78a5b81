"""Authentication: client tokens and REST credentials against the projects in the store."""

from dataclasses import dataclass, field

from signaling.clock import Clock
from signaling.domain.errors import BadRequest, ErrorCode, NotFound, Unauthorized
from signaling.domain.projects import Project
from signaling.domain.rest_credentials import Credential, verify_credential
from signaling.domain.session_ids import project_of
from signaling.domain.session_options import SessionRecord
from signaling.domain.tokens import Admission, verify_client_token
from signaling.storage.base import SessionStore, Store
from signaling.storage.project_cache import MAX_CACHED, ProjectCache


@dataclass
class SessionCache:
    """Caches sessions, which never change; the oldest entry is evicted first. Used on the event
    loop only."""

    store: SessionStore
    _known: dict[str, SessionRecord] = field(default_factory=dict)

    async def session(self, session_id: str) -> SessionRecord | None:
        record = self._known.get(session_id) or await self.store.session(session_id)
        if record is not None and session_id not in self._known:
            if len(self._known) >= MAX_CACHED:
                del self._known[next(iter(self._known))]
            self._known[session_id] = record
        return record


class Authenticator:
    """Admits clients to sessions and applications to REST."""

    def __init__(self, store: Store, clock: Clock, cache_s: float = 1.0) -> None:
        self._projects = ProjectCache(store, clock, cache_s)
        self._sessions = SessionCache(store)
        self._clock = clock

    async def authenticate(
        self, api_key: str, session_id: str, token: str, *, origin: str | None = None
    ) -> Admission:
        """Admits a client to a session. `origin`: that of the page, if the client is a browser.

        Errors: `invalid_session_id`, `authentication_failed`, `token_expired`, `session_unknown`,
        `origin_refused`, `storage_unavailable`. Only the holder of a valid token learns whether a
        session exists.
        """
        project = await self._projects.project_named(api_key)
        if project is None:
            raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
        if not project.is_named(project_of(session_id)):
            raise BadRequest(ErrorCode.INVALID_SESSION_ID)
        claims = verify_client_token(token, project, session_id, self._clock.unix_s())
        record = await self.session_of(project, session_id)
        if record is None:
            raise NotFound(ErrorCode.SESSION_UNKNOWN)
        if not project.allows_origin(origin):
            raise Unauthorized(ErrorCode.ORIGIN_REFUSED)
        return Admission(
            session=record,
            role=claims.role,
            expires_s=claims.expires_s,
            connection_data=claims.connection_data,
            layout_classes=claims.layout_classes,
            quotas=project.quotas,
            token=claims.digest,
        )

    async def project_of_request(self, credential: Credential) -> Project:
        """The project that signed a REST request. Errors: `credentials_invalid`."""
        project = await self._projects.project_named(credential.claimed_project)
        if project is None:
            raise Unauthorized(ErrorCode.CREDENTIALS_INVALID)
        verify_credential(credential, project, self._clock.unix_s())
        return project

    async def session_of(self, project: Project, session_id: str) -> SessionRecord | None:
        """A session of the project; None also for sessions of other projects."""
        record = await self._sessions.session(session_id)
        return record if record is not None and record.project_id == project.api_key else None

    async def known_session(self, api_key: str, session_id: str) -> SessionRecord | None:
        """A session that a client names without a token, if it is one of the project it names."""
        project = await self._projects.project_named(api_key)
        return None if project is None else await self.session_of(project, session_id)
