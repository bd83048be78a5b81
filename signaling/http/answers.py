"""Answers to HTTP requests, in the shapes that the official SDKs can read."""

from dataclasses import dataclass, replace
from typing import Annotated
from xml.sax.saxutils import escape, quoteattr

import msgspec
from msgspec import Meta

from signaling.domain.errors import ERRORS, DomainError, ErrorCode, MethodNotAllowed

# Exactly this: one SDK compares the whole header value.
JSON = "application/json"
XML = "text/xml"
CAPACITY_RETRY_S = 30
"""What a server has no room for takes minutes, and ends at any time."""


class Reply(msgspec.Struct, rename="camel", kw_only=True):
    """A JSON object of an answer."""


class Failure(Reply):
    """The body of every answer that is no success. `error` is stable, `message` is for people."""

    code: Annotated[int, Meta(description="The number that the official SDKs know, or the status")]
    message: str
    description: str
    error: Annotated[str, Meta(description="The stable name of the error")]


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body; `content_type` is sent as it stands, without a charset. `allow`: the
    methods that there are, if another one was tried. `retry_after_s`: when it may succeed."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    allow: str = ""
    retry_after_s: int = 0

    @property
    def headers(self) -> dict[str, str]:
        """What an answer has to say of itself; nothing of these is to be kept."""
        found = {"Content-Type": self.content_type} if self.content_type else {}
        if self.allow:
            found["Allow"] = self.allow
        if self.retry_after_s:
            found["Retry-After"] = str(self.retry_after_s)
        return {**found, "Cache-Control": "no-store"}


def json_answer(status: int, value: object, content_type: str = JSON) -> Answer:
    return Answer(status, msgspec.json.encode(value), content_type)


def empty_answer(status: int) -> Answer:
    return Answer(status, b"", "")


def error_answer(failure: DomainError) -> Answer:
    """Never empty: SDKs fall over an empty body that is labelled JSON."""
    row = ERRORS[failure.code]
    made = json_answer(
        row.http_status,
        Failure(
            code=row.rest_code,
            message=failure.message,
            description=failure.message,
            error=failure.code.value,
        ),
    )
    allowed = failure.allowed if isinstance(failure, MethodNotAllowed) else ()
    wait_s = CAPACITY_RETRY_S if failure.code is ErrorCode.NO_CAPACITY else 0
    return replace(made, allow=", ".join(allowed), retry_after_s=wait_s)


def xml_error_answer(failure: DomainError) -> Answer:
    """The form in which one SDK reads why a session cannot be created."""
    row = ERRORS[failure.code]
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><Errors><error code="{row.rest_code}">'
        f"<badRequest message={quoteattr(failure.message)}/></error></Errors>"
    )
    return Answer(row.http_status, text.encode(), XML)


def xml_session_answer(fields: dict[str, str]) -> Answer:
    members = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><sessions><Session>{members}</Session></sessions>'
    )
    return Answer(200, text.encode(), XML)
