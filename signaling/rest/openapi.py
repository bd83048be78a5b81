"""The OpenAPI 3.1 document of the REST API, generated from the route table and its types."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from config.version import version
from signaling.domain.errors import ERRORS, ErrorCode
from signaling.http.answers import JSON, Failure
from signaling.rest.bodies import form_or_json_fields, no_fields
from signaling.rest.requests import CreateSession
from signaling.rest.routes import Route

OPENAPI_PATH = "/openapi.json"
FORM = "application/x-www-form-urlencoded"
_REF = "#/components/schemas/{name}"
_COMMON_ERRORS = (ErrorCode.CREDENTIALS_INVALID,)
_PATH_PARAMETERS = {
    "project": "The API key of a legacy project, or the application id of a unified one",
    "session": "A session id, as in the answer to its creation",
    "connection": "The id of a client in the session",
    "stream": "The id of a stream in the session",
    "id": "The id in the answer to its creation",
}
_ABOUT = """\
Sessions and their live state, for application servers. The official OpenTok and Vonage Video
server SDKs use this API; only the host changes.

A request carries a token that is valid for minutes: `X-OPENTOK-AUTH` is signed with the secret of
the project (HS256), a bearer token with the application's private key (RS256). Refusals have the
body `Failure`, with a stable name in `error`. The content of a body determines how it is parsed,
not its content type.

End-to-end encrypted sessions (`e2ee`) are for clients that encrypt end to end. Features that need
unencrypted media are refused there, with the code 15900.
"""
Json = dict[str, Any]


def openapi_document(routes: Iterable[Route]) -> Json:
    """The document of a route table."""
    routes = tuple(routes)
    shapes = [shape for route in routes for shape in _shapes(route)]
    found, components = msgspec.json.schema_components(
        [Failure, CreateSession, *shapes], ref_template=_REF
    )
    schemas = dict(zip([Failure, CreateSession, *shapes], found, strict=True))
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sealroute", "version": version(), "description": _ABOUT},
        "servers": [{"url": "/"}, {"url": "/e2ee", "description": "New sessions are encrypted"}],
        "security": [{"secret": []}, {"application": []}],
        "paths": paths,
        "components": {
            "schemas": {name: _without_indents(schema) for name, schema in components.items()},
            "securitySchemes": _SECURITY,
        },
    }


_SECURITY: Json = {
    "secret": {
        "type": "apiKey",
        "in": "header",
        "name": "X-OPENTOK-AUTH",
        "description": "JWT, HS256 with the project's secret: `iss` is the API key, `ist` is "
        "project, `iat`, and `exp` within five minutes of it.",
    },
    "application": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "JWT, RS256 with the application's private key: `application_id`, `iat`, "
        "`exp`.",
    },
}


def _shapes(route: Route) -> list[Any]:
    return [shape for shape in (route.body, route.query, route.answer) if shape is not None]


def _operation(route: Route, schemas: Mapping[Any, Json]) -> Json:
    segments = route.template.strip("/").split("/")

    operation: Json = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [_tag(segments)],
        "parameters": _path_parameters(segments) + _query_parameters(route),
        "responses": _responses(route, schemas),
    }
    body = _body(route, schemas)
    if body is not None:
        operation["requestBody"] = body
    return operation


def _operation_id(route: Route) -> str:
    words = "".join(char if char.isalnum() else " " for char in route.summary).split()
    name = "".join(word.capitalize() for word in words)
    return name[:1].lower() + name[1:]


def _tag(segments: list[str]) -> str:
    if segments[:2] == ["v2", "project"] and len(segments) > 3:
        return segments[3]
    return segments[0]


def _path_parameters(segments: list[str]) -> list[Json]:
    names = [segment[1:-1] for segment in segments if segment.startswith("{")]
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS.get(name, ""),
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }
        for name in names
    ]


def _query_parameters(route: Route) -> list[Json]:
    if route.query is None:
        return []
    (reference,), components = msgspec.json.schema_components([route.query], ref_template="{name}")
    properties = components[reference["$ref"]]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": _present(schema)}
        for name, schema in properties.items()
    ]


def _present(schema: Json) -> Json:
    """The schema without null, which a query cannot express."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    return choices[0] if len(choices) == 1 else schema


def _body(route: Route, schemas: Mapping[Any, Json]) -> Json | None:
    if route.read_body is form_or_json_fields:
        schema = schemas[CreateSession]
        return {"required": False, "content": {FORM: {"schema": schema}, JSON: {"schema": schema}}}
    if route.body is not None:
        return {"required": True, "content": {JSON: {"schema": schemas[route.body]}}}
    return None if route.read_body is no_fields else {"content": {JSON: {}}}


def _responses(route: Route, schemas: Mapping[Any, Json]) -> Json:
    success: Json = {"description": "Done"}
    if route.answer is not None:
        success["content"] = {JSON: {"schema": schemas[route.answer]}}
    responses: Json = {str(route.success): success}
    for code in (*_COMMON_ERRORS, *route.errors):
        row = ERRORS[code]
        response = responses.setdefault(str(row.http_status), _failure(schemas))
        what = "Not allowed" if row.http_status == 403 else code.message
        response["description"] = " ".join(filter(None, [response["description"], what]))
        response["content"][JSON]["examples"][code.value] = {"value": _example(code)}
    responses["default"] = {**_failure(schemas), "description": "Any other failure"}
    return responses


def _failure(schemas: Mapping[Any, Json]) -> Json:
    content = {JSON: {"schema": schemas[Failure], "examples": {}}}
    return {"description": "", "content": content}


def _example(code: ErrorCode) -> Json:
    row = ERRORS[code]
    return {
        "code": row.rest_code,
        "message": code.message,
        "description": code.message,
        "error": code.value,
    }


def _without_indents(schema: Json) -> Json:
    text = schema.get("description")
    return schema if text is None else {**schema, "description": inspect.cleandoc(text)}
