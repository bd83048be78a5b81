"""Administration on the store itself: projects, sessions and tokens, without a running server."""

import json
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from signaling.clock import Clock
from signaling.domain.errors import BadRequest, ErrorCode, NotFound
from signaling.domain.project_changes import key_id, rotated
from signaling.domain.projects import SECRET_BYTES, Project, new_project
from signaling.domain.session_creation import Circumstances, new_session
from signaling.domain.session_ids import RANDOM_BYTES
from signaling.domain.session_options import SessionRecord
from signaling.domain.tokens import MAX_CONNECTION_DATA_CHARS, TokenClaims, new_client_token
from signaling.storage.base import ProjectEdit, Store

DEVELOPMENT_FILE = "development-project.json"
_ATTEMPTS = 5
Work = Callable[[Store], Awaitable[Project]]


async def create_project(
    store: Store,
    clock: Clock,
    *,
    name: str = "",
    e2ee_enabled: bool = False,
    public_key_pem: str | None = None,
    change: ProjectEdit = lambda project: project,
) -> Project:
    """A new project, with `change` applied, durable on return."""

    def draft() -> Project:
        project = drafted_project(
            clock, name=name, e2ee_enabled=e2ee_enabled, public_key_pem=public_key_pem
        )
        return change(project)

    return await add_project(store, draft)


def drafted_project(
    clock: Clock, *, name: str = "", e2ee_enabled: bool = False, public_key_pem: str | None = None
) -> Project:
    """A project that is not stored yet."""
    return new_project(
        random_bytes=secrets.token_bytes(44),
        now_ms=int(clock.unix_s() * 1000),
        name=name,
        e2ee_enabled=e2ee_enabled,
        public_key_pem=public_key_pem,
    )


async def add_project(store: Store, draft: Callable[[], Project]) -> Project:
    """The stored project. API keys are short, so one that is taken is drawn again."""
    for attempt in range(_ATTEMPTS):
        project = draft()
        if await store.project_named(project.api_key) is None or attempt == _ATTEMPTS - 1:
            break
    await store.add_project(project)
    return project


async def change_project(store: Store, identity: str, change: ProjectEdit) -> Project:
    """The project after the change, durable on return. Errors: `not_found`, and those of
    `change`."""
    changed = await store.change_project(identity, change)
    if changed is None:
        raise _no_project()
    return changed


async def rotate_secret(store: Store, clock: Clock, identity: str, grace_ms: int) -> Project:
    """The project with a new API secret. Errors: `not_found`, `invalid_parameter`."""
    now_ms = int(clock.unix_s() * 1_000)
    secret = secrets.token_hex(SECRET_BYTES)
    return await change_project(
        store, identity, lambda one: rotated(one, secret, now_ms=now_ms, grace_ms=grace_ms)
    )


async def remove_project(store: Store, identity: str) -> Project:
    """Removes a project with its sessions, callbacks and their deliveries; the project as it was.
    Clients that are in a session stay until they leave; nobody else gets in once the servers know
    of it (`storage.cache_ms`). Errors: `not_found`."""
    project = await existing_project(store, identity)
    if not await store.remove_project(project.api_key):
        raise _no_project()
    return project


async def existing_project(store: Store, identity: str) -> Project:
    project = await store.project_named(identity)
    if project is None:
        raise _no_project()
    return project


def _no_project() -> NotFound:
    return NotFound(ErrorCode.NOT_FOUND, "There is no project with that API key or application id.")


async def create_session(
    store: Store, clock: Clock, api_key: str, fields: dict[str, object]
) -> SessionRecord:
    """A session as `POST /session/create` creates it."""
    project = await existing_project(store, api_key)
    circumstances = Circumstances(
        now_ms=int(clock.unix_s() * 1000),
        random_bytes=secrets.token_bytes(RANDOM_BYTES),
        named_by=project.api_key,
    )
    record = new_session(project, fields, circumstances)
    await store.add_session(record)
    return record


async def create_token(store: Store, clock: Clock, claims: TokenClaims) -> str:
    """A client token for a session in the store; `claims.expires_s` is Unix time."""
    record = await store.session(claims.session_id)
    if record is None:
        raise NotFound(ErrorCode.SESSION_NOT_FOUND)
    if len(claims.connection_data) > MAX_CONNECTION_DATA_CHARS:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            f"Connection data is limited to {MAX_CONNECTION_DATA_CHARS} characters.",
        )
    project = await existing_project(store, record.project_id)
    return new_client_token(project, claims, int(clock.unix_s()), secrets.randbelow(1_000_000))


def credentials(project: Project) -> dict[str, str]:
    """The credentials of an application. Only this function returns the secret."""
    return {
        "apiKey": project.api_key,
        "apiSecret": project.api_secret,
        "applicationId": project.application_id,
    }


def described(project: Project, now_ms: int) -> dict[str, object]:
    """The properties of a project, without secrets."""
    until_ms = project.previous_secret_until_ms or 0
    return {
        "apiKey": project.api_key,
        "applicationId": project.application_id,
        "name": project.name,
        "createdAt": project.created_ms,
        "e2ee": project.e2ee_enabled,
        "e2eeByDefault": project.e2ee_by_default,
        "allowedOrigins": project.allowed_origins.split(),
        "maxSessions": project.max_sessions,
        "maxConnections": project.max_connections,
        "maxPublishBps": project.max_publish_bps,
        "publicKeys": [key_id(key) for key in project.public_keys()],
        "previousSecretUntil": until_ms if until_ms > now_ms else None,
    }


async def first_project(store: Store, clock: Clock, data_dir: Path) -> Project | None:
    """A development project with encryption enabled, if the store has no project.

    Its credentials are written to a file that only the owner can read.
    """
    if await store.projects():
        return None
    project = await create_project(
        store, clock, name="development", e2ee_enabled=True, public_key_pem=None
    )
    path = data_dir / DEVELOPMENT_FILE
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(credentials(project), file, indent=2)
        file.write("\n")
    return project


NO_PROJECT = (
    "There is no project yet. Create one, and give its credentials to your application:"
    " sealroute project create --name NAME --e2ee"
)


def welcome(project: Project, url: str, path: Path) -> str:
    """The text after the first start. It does not contain the secret, because logs keep it."""
    return f"""
A development project was created, with API key {project.api_key}.
Its API secret is in {path}

A first call with the `opentok` package (`pip install opentok`):

  import json
  from opentok import Client, MediaModes
  project = json.load(open("{path}"))
  opentok = Client(project["apiKey"], project["apiSecret"], api_url="{url}")
  session = opentok.create_session(media_mode=MediaModes.routed, e2ee=True)
  token = opentok.generate_token(session.session_id)
  print(session.session_id, token)
"""
