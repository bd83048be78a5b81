"""The OpenAPI document as served: the REST API, the admin API, WHIP and WHEP.

The REST API documents itself (`signaling.rest.openapi`); the few other routes are described here,
and a test compares the descriptions with the routes.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from signaling.http.answers import JSON, Answer, Failure
from signaling.rest.admin_api import ADMIN_PATH, Properties, PublicKey, Rotation
from signaling.rest.openapi import openapi_document
from signaling.rest.routes import ROUTES
from signaling.rest.whip_requests import FRAGMENT, SDP

Json = dict[str, Any]
_REF = "#/components/schemas/{name}"
_ROOT = [{"url": "/"}]
_TEXT: Json = {"schema": {"type": "string"}}


class AdminProject(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A project without its secrets. Times are milliseconds since 1970."""

    api_key: str
    application_id: str
    name: str
    created_at: int
    e2ee: bool
    e2ee_by_default: bool
    allowed_origins: tuple[str, ...]
    max_sessions: int | None
    max_connections: int | None
    max_publish_bps: int | None
    public_keys: tuple[str, ...]
    previous_secret_until: int | None


class AdminCredentials(AdminProject, frozen=True, rename="camel", kw_only=True):
    """A project with its API secret, only in answers that create one."""

    api_secret: str


@dataclass(frozen=True, slots=True)
class _Row:
    """One operation of the admin API; `path` is relative to `ADMIN_PATH`."""

    method: str
    path: str
    summary: str
    answer: Any
    success: int = 200
    body: type[msgspec.Struct] | None = None


_ADMIN = (
    _Row("GET", "/projects", "List projects", list[AdminProject]),
    _Row("POST", "/projects", "Make a project", AdminCredentials, 201, Properties),
    _Row("GET", "/projects/{project}", "Show a project", AdminProject),
    _Row("PATCH", "/projects/{project}", "Change a project", AdminProject, 200, Properties),
    _Row("DELETE", "/projects/{project}", "Remove a project", AdminProject),
    _Row(
        "POST", "/projects/{project}/secret", "Give a project a new secret",
        AdminCredentials, 200, Rotation,
    ),
    _Row(
        "POST", "/projects/{project}/keys", "Add a public key", AdminProject, 200, PublicKey
    ),
    _Row("DELETE", "/projects/{project}/keys/{key}", "Take a public key away", AdminProject),
)  # fmt: skip
_PARAMETERS = {
    "project": "An API key or an application id",
    "key": "The id of a public key, as the project shows it",
    "session": "A session id",
    "stream": "The id of a stream in the session",
    "resource": "The last segment of the Location in the answer to POST",
}
_SECURITY: Json = {
    "operator": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token that `sealroute operator add` printed.",
    },
    "client": {
        "type": "http",
        "scheme": "bearer",
        "description": "A client token of the session, as the server SDKs make it.",
    },
}


def served_document() -> Json:
    """The complete document."""
    document = openapi_document(ROUTES)
    shapes = [Failure, *(row.answer for row in _ADMIN), *_bodies()]
    found, components = msgspec.json.schema_components(shapes, ref_template=_REF)
    failure, schemas = found[0], found[1:]
    answers = schemas[: len(_ADMIN)]
    bodies = dict(zip(_bodies(), schemas[len(_ADMIN) :], strict=True))
    for row, answer in zip(_ADMIN, answers, strict=True):
        body = None if row.body is None else bodies[row.body]
        path = document["paths"].setdefault(ADMIN_PATH + row.path, {"servers": _ROOT})
        path[row.method.lower()] = _admin_operation(row, answer, body, failure)
    document["paths"].update(_http_media(failure))
    document["components"]["schemas"].update(components)
    document["components"]["securitySchemes"].update(_SECURITY)
    return document


@cache
def openapi_answer() -> Answer:
    """The document, generated once."""
    return Answer(200, msgspec.json.encode(served_document()), JSON)


def _bodies() -> list[type[msgspec.Struct]]:
    return [row.body for row in _ADMIN if row.body is not None]


def _admin_operation(row: _Row, answer: Json, body: Json | None, failure: Json) -> Json:
    operation = _operation(row.summary, "admin", "operator", ADMIN_PATH + row.path)
    operation["responses"] = {
        str(row.success): {"description": "Done", "content": {JSON: {"schema": answer}}},
        **_failures(failure),
    }
    if body is not None:
        required = row.body is PublicKey
        operation["requestBody"] = {"required": required, "content": {JSON: {"schema": body}}}
    return operation


def _operation(summary: str, tag: str, security: str, path: str) -> Json:
    words = summary.replace("-", " ").split()
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return {
        "operationId": tag + "".join(word.capitalize() for word in words),
        "summary": summary,
        "tags": [tag],
        "security": [{security: []}],
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": _PARAMETERS[name],
                "schema": {"type": "string", "minLength": 1},
            }
            for name in names
        ],
    }


def _failures(failure: Json) -> Json:
    return {"default": {"description": "Refused", "content": {JSON: {"schema": failure}}}}


def _http_media(failure: Json) -> Json:
    """WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep)."""
    paths: Json = {}
    for tag, path, does in (
        ("whip", "/whip/{session}", "Publish by an offer"),
        ("whep", "/whep/{session}/{stream}", "Play by an offer"),
    ):
        begin = _operation(does, tag, "client", path)
        begin["requestBody"] = {"required": True, "content": {SDP: _TEXT}}
        made = {"description": "Created; Location is the resource", "content": {SDP: _TEXT}}
        begin["responses"] = {"201": made, **_failures(failure)}
        paths[path] = {"servers": _ROOT, "post": begin}

        resource = path + "/resource/{resource}"
        patch = _operation("Take candidates", tag, "client", resource)
        patch["requestBody"] = {"required": True, "content": {FRAGMENT: _TEXT}}
        patch["responses"] = {"204": {"description": "Accepted"}, **_failures(failure)}
        end = _operation("End it", tag, "client", resource)
        end["responses"] = {"200": {"description": "Ended"}, **_failures(failure)}
        paths[resource] = {"servers": _ROOT, "patch": patch, "delete": end}
    return paths
