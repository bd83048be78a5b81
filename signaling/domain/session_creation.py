"""Creation of a session, for REST, the demo page's rooms and the command line alike."""

from collections.abc import Mapping
from dataclasses import dataclass

from signaling.domain.errors import BadRequest, ErrorCode
from signaling.domain.projects import Project
from signaling.domain.session_ids import new_session_id
from signaling.domain.session_options import SessionRecord, parse_session_options


@dataclass(frozen=True, slots=True)
class Circumstances:
    """`now_ms` is Unix time; `random_bytes` make the id unguessable (`RANDOM_BYTES` of them).
    `e2ee_default`: sessions of every project are encrypted unless the request says otherwise.
    `named_by`: the project's API key or application id, whichever the session id shall carry."""

    now_ms: int
    random_bytes: bytes
    named_by: str
    e2ee_default: bool = False


def new_session(
    project: Project, fields: Mapping[str, object], circumstances: Circumstances
) -> SessionRecord:
    """The session that the `fields` of `POST /session/create` describe; nothing is stored.

    Errors: those of `parse_session_options`, `e2ee_not_enabled`.
    """
    e2ee_default = circumstances.e2ee_default or project.e2ee_by_default
    options = parse_session_options(fields, e2ee_default=e2ee_default)
    if options.e2ee and not project.e2ee_enabled:
        raise BadRequest(ErrorCode.E2EE_NOT_ENABLED)
    now_ms = circumstances.now_ms
    session_id = new_session_id(
        circumstances.named_by, options.location, now_ms, circumstances.random_bytes
    )
    return SessionRecord(session_id, project.api_key, options, now_ms)
