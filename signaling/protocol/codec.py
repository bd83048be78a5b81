"""Bytes ↔ messages, in msgpack or JSON. The only module that knows msgpack.

Order of the checks: size and number of values (both on the bytes, before any object is created),
form (depth, lengths, no extension types, no duplicate members), secrets, then the table of
messages. Errors name the place of a fault, never the peer's content.
"""

import json
import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NoReturn, get_args

import msgpack  # type: ignore[import-untyped]
import msgspec

from signaling.domain.errors import ErrorCode, PeerProtocolError
from signaling.protocol.counting import TooManyError, check_json, check_msgpack
from signaling.protocol.messages import ClientMessage, ServerMessage

MAX_MESSAGE_BYTES = 262_144
MAX_FIRST_MESSAGE_BYTES = 16_384
"""Limit of `hello`, whose sender is not authenticated yet. Its token may be half of it."""
MAX_VALUES = 4_096
"""Limit of a client's message; each value and each member name counts. The largest message that the
table allows is `forceMuteAll` with 3,000 streams."""
MAX_SERVER_VALUES = 1_000_000
"""Enough for a `welcome` to a session of many thousands."""
MAX_DEPTH = 16
MAX_ARRAY_ITEMS = 4_096
MAX_MAP_MEMBERS = 256
MAX_INTEGER = 2**53 - 1
"""JavaScript numbers do not represent larger integers exactly."""
SECRET_NAMES = frozenset(
    {"secret", "encryptionsecret", "passphrase", "password", "secretkey", "encryptionkey"}
)


class Encoding(StrEnum):
    """A string, whose hash is quick: it is a key for each message and receiver."""

    MSGPACK = "msgpack"
    JSON = "json"


class _DuplicateMemberError(ValueError):
    """A map has a member twice, which readers could interpret differently."""


def decode(data: bytes | str, encoding: Encoding) -> ClientMessage:
    """A client's message. Errors: `message_too_large`, `invalid_message`, `secret_refused`."""
    message: ClientMessage = _decode(data, encoding, ClientMessage, MAX_VALUES)
    return message


def decode_server_message(data: bytes | str, encoding: Encoding) -> ServerMessage:
    """A server's message, for clients that share the table."""
    message: ServerMessage = _decode(data, encoding, ServerMessage, MAX_SERVER_VALUES)
    return message


def encode(message: ClientMessage | ServerMessage, encoding: Encoding) -> bytes:
    """The encoded message; JSON is UTF-8 with byte strings in base64."""
    return _WRITERS[encoding](message)


def _decode(data: bytes | str, encoding: Encoding, table: Any, most_values: int) -> Any:  # noqa: ANN401 - msgspec unions have no type
    if len(data) > MAX_MESSAGE_BYTES:
        raise PeerProtocolError(ErrorCode.MESSAGE_TOO_LARGE)
    try:
        raw = _READERS[encoding](data, most_values)
    except TooManyError:
        raise _invalid(f"more than {most_values:,} values, or nested too deep") from None
    try:
        return _convert(raw, encoding, table)
    except PeerProtocolError as refused:
        refused.request_id = _request_id(raw)
        raise


def _convert(raw: object, encoding: Encoding, table: Any) -> Any:  # noqa: ANN401 - msgspec unions have no type
    _check_form(raw)
    # msgspec analyzes a union in each conversion, which costs thirty times the conversion itself.
    tag = raw.get("t") if isinstance(raw, dict) else None
    shape = _SHAPES[table].get(tag, table) if isinstance(tag, str) else table
    try:
        return msgspec.convert(raw, shape, builtin_types=_BUILTIN_TYPES[encoding])
    except (ValueError, TypeError, RecursionError) as cause:
        raise _invalid(_path_of(cause)) from None


def _request_id(raw: object) -> int | None:
    """The id of a refused request, so that its sender gets the error and does not wait."""
    number = raw.get("id") if isinstance(raw, dict) else None
    fits = type(number) is int and 0 <= number <= MAX_INTEGER
    return number if fits else None


def _read_msgpack(data: bytes | str, most_values: int) -> object:
    if isinstance(data, str):
        _fail("a text frame on a binary protocol")
    check_msgpack(data, most_values, MAX_DEPTH)
    try:
        return msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            object_pairs_hook=_members_once,
            max_str_len=MAX_MESSAGE_BYTES,
            max_bin_len=MAX_MESSAGE_BYTES,
            max_array_len=MAX_ARRAY_ITEMS,
            max_map_len=MAX_MAP_MEMBERS,
            max_ext_len=0,
        )
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException):
        raise _invalid("not msgpack within the limits") from None


def _read_json(data: bytes | str, most_values: int) -> object:
    check_json(data if isinstance(data, bytes) else data.encode("utf-8", "replace"), most_values)
    try:
        return json.loads(
            data, object_pairs_hook=_members_once, parse_constant=lambda _: _fail("number")
        )
    except (ValueError, RecursionError):
        raise _invalid("not JSON within the limits") from None


def _members_once(pairs: list[tuple[object, object]]) -> dict[object, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _DuplicateMemberError
    return members


def _check_form(raw: object) -> None:
    """Checks depth, lengths, names and scalars, breadth first."""
    level: list[object] = [raw]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                if len(value) > MAX_MAP_MEMBERS:
                    _fail("map length")
                for name in value:
                    _check_name(name)
                below.extend(value.values())
            elif isinstance(value, list):
                if len(value) > MAX_ARRAY_ITEMS:
                    _fail("array length")
                below.extend(value)
            else:
                _check_scalar(value)
        if not below:
            return
        level = below
    _fail("depth")


def _check_scalar(value: object) -> None:
    """Refuses what only one of the encodings can express: it could not be passed on."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            # JSON can express a lone surrogate, UTF-8 cannot.
            raise _invalid("text") from None
    elif isinstance(value, float):
        if not math.isfinite(value):
            _fail("number")
    elif isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            _fail("number")
    elif not isinstance(value, bytes | None):
        _fail("extension type")


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        _fail("member name")
    if name.replace("_", "").replace("-", "").casefold() in SECRET_NAMES:
        raise PeerProtocolError(ErrorCode.SECRET_REFUSED)


def _path_of(cause: Exception) -> str:
    """The `$.member[...]` that msgspec appends; the text before it may quote the peer."""
    _, found, path = str(cause).rpartition(" - at `$")
    known = "".join(c for c in path.rstrip("`") if c.isalnum() or c in ".[]_")
    return f"${known[:100]}" if found else "$"


def _invalid(where: str) -> PeerProtocolError:
    return PeerProtocolError(ErrorCode.INVALID_MESSAGE, f"The message is not valid: {where}.")


def _fail(where: str) -> NoReturn:
    raise _invalid(where)


def _by_tag(table: Any) -> dict[str, type]:  # noqa: ANN401 - msgspec unions have no type
    return {shape.__struct_config__.tag: shape for shape in get_args(table)}


_SHAPES = {table: _by_tag(table) for table in (ClientMessage, ServerMessage)}
_WRITERS: dict[Encoding, Callable[[object], bytes]] = {
    Encoding.MSGPACK: msgspec.msgpack.Encoder().encode,
    Encoding.JSON: msgspec.json.Encoder().encode,
}
_READERS = {Encoding.MSGPACK: _read_msgpack, Encoding.JSON: _read_json}
_BUILTIN_TYPES: dict[Encoding, tuple[type, ...]] = {
    Encoding.MSGPACK: (bytes,),
    Encoding.JSON: (),
}
