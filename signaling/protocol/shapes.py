"""The table of messages as data, for the generators."""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
from msgspec import inspect as shape

from signaling.protocol.messages import ClientMessage, Message, ServerMessage

CLIENT_MESSAGES: tuple[type[Message], ...] = get_args(ClientMessage)
SERVER_MESSAGES: tuple[type[Message], ...] = get_args(ServerMessage)


def struct_of(cls: type[msgspec.Struct]) -> shape.StructType:
    """The members of a message or part as on the wire."""
    found = shape.type_info(cls)
    if not isinstance(found, shape.StructType):
        raise TypeError(f"{cls.__name__} is not a struct")
    return found


def is_message(struct: shape.StructType) -> bool:
    return struct.tag is not None


def parts_of(type_: shape.Type) -> Iterator[shape.StructType]:
    """The parts that a type consists of, without those nested in parts."""
    if isinstance(type_, shape.StructType):
        yield type_
        return
    inner: list[Any] = [*getattr(type_, "types", ())]
    inner += [getattr(type_, name, None) for name in ("item_type", "key_type", "value_type")]
    for found in inner:
        if found is not None:
            yield from parts_of(found)


def all_structs() -> list[shape.StructType]:
    """Every message, each followed by the parts that appear in it first."""
    found: dict[type, shape.StructType] = {}
    for cls in CLIENT_MESSAGES + SERVER_MESSAGES:
        _collect(struct_of(cls), found)
    return list(found.values())


def _collect(struct: shape.StructType, found: dict[type, shape.StructType]) -> None:
    if struct.cls in found:
        return
    found[struct.cls] = struct
    for field in struct.fields:
        for part in parts_of(field.type):
            _collect(part, found)
