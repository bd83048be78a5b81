"""Request bodies: their content determines how they are parsed, not their content type.

SDKs send forms labeled as JSON, JSON without a label, and empty bodies labeled as JSON.
"""

import json
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import parse_qsl

from signaling.domain.errors import BadRequest, ErrorCode
from signaling.protocol.counting import TooManyError, check_json

MAX_DEPTH = 32
MAX_FORM_FIELDS = 64
MAX_FORM_BYTES = 4_096
"""Percent-escapes cost more than other bytes, and forms have short fields."""
MAX_VALUES = 8_192
"""Limit of the values in a JSON body, counted before it is parsed."""
_TWICE = "A field appears twice in the body."
_HALF_PAIR = rb"\ud"

Fields = Mapping[str, object]


class _RepeatedError(Exception):
    """A JSON object has a member twice."""


def json_fields(body: bytes) -> Fields:
    """The members of a JSON object; an empty body is an empty object. Null counts as absent. A
    member that appears twice is refused: who reads the first one, such as a proxy or the
    application's log, would take a session for another one than who reads the last.

    Errors: `body_invalid`.
    """
    if not body.strip():
        return {}
    try:
        check_json(body, MAX_VALUES)
        value = json.loads(
            body, parse_constant=_refuse_constant, object_pairs_hook=_without_repetition
        )
    except TooManyError as cause:
        raise BadRequest(
            ErrorCode.BODY_INVALID, f"The body has more than {MAX_VALUES:,} values."
        ) from cause
    except _RepeatedError as cause:
        raise BadRequest(ErrorCode.BODY_INVALID, _TWICE) from cause
    except (ValueError, RecursionError) as cause:
        raise BadRequest(ErrorCode.BODY_INVALID, "The body is not valid JSON.") from cause
    if not isinstance(value, dict):
        raise BadRequest(ErrorCode.BODY_INVALID, "The body must be a JSON object.")
    _check_depth(value)
    if _HALF_PAIR in body.lower():
        _check_text(value)
    return {name: member for name, member in value.items() if member is not None}


def _check_text(value: object) -> None:
    """Refuses lone surrogates, which JSON can express and UTF-8 cannot."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadRequest(ErrorCode.BODY_INVALID, "The body is not valid Unicode.") from None


def form_or_json_fields(body: bytes) -> Fields:
    """Fields of a form, or of a JSON object when the body begins with a brace."""
    text = body.strip()
    if text.startswith(b"{"):
        return json_fields(text)
    if len(text) > MAX_FORM_BYTES:
        raise BadRequest(ErrorCode.BODY_TOO_LARGE)
    try:
        pairs = parse_qsl(
            text.decode(),
            keep_blank_values=True,
            strict_parsing=bool(text),
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError as cause:
        raise BadRequest(
            ErrorCode.BODY_INVALID, "The body is neither a form nor a JSON object."
        ) from cause
    fields: dict[str, object] = dict(pairs)
    if len(fields) != len(pairs):
        raise BadRequest(ErrorCode.BODY_INVALID, _TWICE)
    return fields


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RepeatedError
    return found


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("not a JSON number")


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child for item in level for child in _children(item) if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise BadRequest(ErrorCode.BODY_INVALID, f"The body is nested deeper than {MAX_DEPTH}.")


def _children(item: object) -> list[object]:
    if isinstance(item, dict):
        return list(item.values())
    return item if isinstance(item, list) else []


def no_fields(_body: bytes) -> Fields:
    """For requests without parameters, whatever body the SDKs send."""
    return {}
