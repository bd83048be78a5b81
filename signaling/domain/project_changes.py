"""Changes that an operator may make to a project: properties, policies, quotas, secrets, keys."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from signaling.domain.errors import BadRequest, ErrorCode, NotFound
from signaling.domain.projects import (
    MAX_PUBLIC_KEYS,
    Project,
    checked_name,
    checked_public_key,
)

MAX_ORIGINS = 64
MAX_LIMIT = 2**31 - 1
MAX_GRACE_MS = 30 * 86_400_000
_ORIGIN = re.compile(
    r"https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?|https?://\[[0-9a-f:.]{2,45}\](:[0-9]{1,5})?"
)
_KEY_ID_CHARS = 16


@dataclass(frozen=True, slots=True)
class ProjectChange:
    """None leaves a property unchanged; a limit of 0 removes the limit."""

    name: str | None = None
    e2ee_enabled: bool | None = None
    e2ee_by_default: bool | None = None
    allowed_origins: Sequence[str] | None = None
    max_sessions: int | None = None
    max_connections: int | None = None
    max_publish_bps: int | None = None


def changed(project: Project, change: ProjectChange) -> Project:
    """Errors: `invalid_parameter`."""
    if change.name is not None:
        project = replace(project, name=checked_name(change.name))
    if change.e2ee_enabled is not None:
        project = replace(project, e2ee_enabled=change.e2ee_enabled)
    if change.e2ee_by_default is not None:
        project = replace(project, e2ee_by_default=change.e2ee_by_default)
    if project.e2ee_by_default and not project.e2ee_enabled:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            "Encryption by default needs the end-to-end encryption add-on: enable it first.",
        )
    if change.allowed_origins is not None:
        project = replace(project, allowed_origins=_checked_origins(change.allowed_origins))
    return replace(
        project,
        max_sessions=_limited(project.max_sessions, change.max_sessions),
        max_connections=_limited(project.max_connections, change.max_connections),
        max_publish_bps=_limited(project.max_publish_bps, change.max_publish_bps),
    )


def _limited(now: int | None, wanted: int | None) -> int | None:
    if wanted is None:
        return now
    if not 0 <= wanted <= MAX_LIMIT:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, f"A limit is from 1 to {MAX_LIMIT}; 0 removes it."
        )
    return wanted or None


def _checked_origins(origins: Sequence[str]) -> str:
    if len(origins) > MAX_ORIGINS or not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            f"Up to {MAX_ORIGINS} origins, each a scheme and a host in lower case such as "
            "https://app.example.com, with a port if it is not the default, and no path.",
        )
    return " ".join(dict.fromkeys(origins))


def rotated(project: Project, secret: str, *, now_ms: int, grace_ms: int) -> Project:
    """The project with a new API secret. The current secret stays valid for the grace time; an
    older one is dropped.

    Errors: `invalid_parameter` for a grace time of more than 30 days.
    """
    if not 0 <= grace_ms <= MAX_GRACE_MS:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, "The old secret may stay valid for up to 30 days."
        )
    return replace(
        project,
        api_secret=secret,
        previous_secret=project.api_secret if grace_ms else None,
        previous_secret_until_ms=now_ms + grace_ms if grace_ms else None,
    )


def key_id(pem: str) -> str:
    """A short name of a public key: the beginning of the SHA-256 of its PEM."""
    return hashlib.sha256(pem.strip().encode()).hexdigest()[:_KEY_ID_CHARS]


def with_key(project: Project, pem: str) -> Project:
    """The project with one more public key; a known key changes nothing.

    Errors: `invalid_parameter`.
    """
    keys = {key_id(key): key for key in (*project.public_keys(), checked_public_key(pem))}
    if len(keys) > MAX_PUBLIC_KEYS:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, f"A project has at most {MAX_PUBLIC_KEYS} public keys."
        )
    return replace(project, public_key_pem="".join(keys.values()))


def without_key(project: Project, wanted: str) -> Project:
    """Errors: `not_found`."""
    kept = [key for key in project.public_keys() if key_id(key) != wanted]
    if len(kept) == len(project.public_keys()):
        raise NotFound(ErrorCode.NOT_FOUND, "The project has no such public key.")
    return replace(project, public_key_pem="".join(kept) or None)
