"""What a client checks of each member of a server message, in no language: the generators of the
SDKs' shapes print it.

The server is untrusted: a client reads nothing of a message before all of it has this shape.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from msgspec import inspect as shape

from signaling.protocol.parts import SessionInfo
from signaling.protocol.shapes import SERVER_MESSAGES, parts_of, struct_of

_JUDGED_ELSEWHERE: Final = {(SessionInfo, "e2ee"), (SessionInfo, "media_mode")}
"""Members about encryption: the trust states check them and refuse the session permanently."""
_IDS: Final = {"connection_id", "stream_id", "subscriber_id", "session_id", "mid", "from_"}
"""Members that hold an id: keys are derived from ids, and tables are keyed by them."""
_BY_ID: Final = {"hints"}
"""Maps whose keys are ids."""


@dataclass(frozen=True, slots=True)
class Check:
    """`kind` names the check; the other members are its parameters."""

    kind: str
    least: float | None = None
    most: float | None = None
    words: tuple[str, ...] = ()
    part: type | None = None
    keys: "Check | None" = None
    of: "Check | None" = None
    is_nullable: bool = False
    is_optional: bool = False


def checks_of(struct: shape.StructType) -> dict[str, Check]:
    """The check of each member, by its name on the wire."""
    return {field.encode_name: _member(struct, field) for field in struct.fields}


def parts_of_server_messages() -> list[shape.StructType]:
    """Each after the parts that it contains."""
    found: dict[type, shape.StructType] = {}
    for message in SERVER_MESSAGES:
        _add_parts(struct_of(message), found)
    return list(found.values())


def _add_parts(struct: shape.StructType, found: dict[type, shape.StructType]) -> None:
    for field in struct.fields:
        for part in parts_of(field.type):
            _add_parts(part, found)
            found.setdefault(part.cls, part)


def _member(struct: shape.StructType, field: shape.Field) -> Check:
    if (struct.cls, field.name) in _JUDGED_ELSEWHERE:
        return Check("any", is_optional=True)
    check = _check(field.type)
    if field.name in _IDS:
        check = Check("id", is_nullable=check.is_nullable)
    elif field.name in _BY_ID:
        check = replace(check, keys=Check("id"))
    return replace(check, is_optional=not field.required)


def _check(type_: shape.Type) -> Check:
    reader = _READERS.get(type(type_))
    if reader is None:
        raise TypeError(f"no check for {type(type_).__name__}")
    return reader(type_)


def _whole(type_: shape.IntType) -> Check:
    """The server sends no negative integer."""
    most = type_.le if type_.lt is None else type_.lt - 1
    return Check("whole", type_.ge or 0, most)


def _sized(kind: str) -> Callable[[Any], Check]:
    return lambda type_: Check(kind, type_.min_length, type_.max_length)


def _union(type_: shape.UnionType) -> Check:
    """The only kind of union in server messages: a type or null."""
    (inner,) = (option for option in type_.types if not isinstance(option, shape.NoneType))
    return replace(_check(inner), is_nullable=True)


_READERS: Final[dict[type[shape.Type], Callable[[Any], Check]]] = {
    shape.BoolType: lambda _: Check("flag"),
    shape.IntType: _whole,
    shape.FloatType: lambda t: Check("number", t.ge, t.le),
    shape.StrType: _sized("text"),
    shape.BytesType: _sized("bytes"),
    shape.StructType: lambda t: Check("part", part=t.cls),
    shape.LiteralType: lambda t: Check("word", words=tuple(t.values)),
    shape.VarTupleType: lambda t: Check("list", most=t.max_length, of=_check(t.item_type)),
    shape.UnionType: _union,
    shape.DictType: lambda t: Check("map", keys=_check(t.key_type), of=_check(t.value_type)),
}
