"""The checks of the browser SDK for each server message: the table of messages as data in
TypeScript, for `sdk/web/src/signaling/shape.ts`.

`python -m signaling.spec.web_shapes` prints it.
"""

import sys
from collections.abc import Callable
from typing import Any, Final

from msgspec import inspect as shape

from signaling.protocol.parts import SessionInfo
from signaling.protocol.shapes import SERVER_MESSAGES, all_structs, is_message, struct_of

_HEAD: Final = """\
// Generated from signaling/protocol by `make docs`; edit that.
import type { ServerMessage } from './messages';
import { any, bytes, flag, list, map, number, opt, part, text, whole, word } from './shape';
import type { Part } from './shape';
"""
_JUDGED_ELSEWHERE: Final = {(SessionInfo, "e2ee"), (SessionInfo, "media_mode")}
"""Members about encryption: the trust states check them and refuse the session permanently."""


def web_shapes() -> str:
    """The complete file."""
    used = {part.cls for cls in SERVER_MESSAGES for part in _parts(struct_of(cls))}
    parts = [struct for struct in all_structs() if struct.cls in used and not is_message(struct)]
    blocks = [f"const {struct.cls.__name__} = {_part(struct)};\n" for struct in _sorted(parts)]
    messages = "".join(
        f"  {struct.tag}: {_part(struct, '  ')},\n" for struct in map(struct_of, SERVER_MESSAGES)
    )
    table = f"export const SERVER_SHAPES: {{ [T in ServerMessage['t']]: Part }} = {{\n{messages}}};"
    return "\n".join([_HEAD, *blocks, table]) + "\n"


def _parts(struct: shape.StructType) -> list[shape.StructType]:
    """The parts that a struct consists of, inner ones first."""
    found: list[shape.StructType] = []
    for field in struct.fields:
        for inner in _structs_in(field.type):
            found += [*_parts(inner), inner]
    return found


def _structs_in(type_: Any) -> list[shape.StructType]:  # noqa: ANN401 - any of msgspec's types
    if isinstance(type_, shape.StructType):
        return [type_]
    inner = [*getattr(type_, "types", ())]
    inner += [getattr(type_, name, None) for name in ("item_type", "key_type", "value_type")]
    return [struct for one in inner if one is not None for struct in _structs_in(one)]


def _sorted(parts: list[shape.StructType]) -> list[shape.StructType]:
    """The parts in order of definition: each after the parts that it uses."""
    order = {struct.cls: struct for top in parts for struct in [*_parts(top), top]}
    return list(order.values())


def _part(struct: shape.StructType, indent: str = "") -> str:
    lines = [
        f"{indent}  {field.encode_name}: {_member(struct, field)},\n" for field in struct.fields
    ]
    return f"part({{\n{''.join(lines)}{indent}}})"


def _member(struct: shape.StructType, field: shape.Field) -> str:
    if (struct.cls, field.name) in _JUDGED_ELSEWHERE:
        return "opt(any())"
    text = _shape(field.type)
    return text if field.required else f"opt({text})"


def _shape(type_: shape.Type) -> str:
    writer = _WRITERS.get(type(type_))
    if writer is None:
        raise TypeError(f"no shape for {type(type_).__name__}")
    return writer(type_)


def _call(name: str, *arguments: object) -> str:
    """A call without trailing None arguments."""
    given = list(arguments)
    while given and given[-1] is None:
        given.pop()
    words = ", ".join("undefined" if one is None else str(one) for one in given)
    return f"{name}({words})"


def _whole(type_: shape.IntType) -> str:
    return _call("whole", type_.ge, type_.le if type_.lt is None else type_.lt - 1)


def _words(type_: shape.LiteralType) -> str:
    return _call("word", *(f"'{value}'" for value in type_.values))


def _list(type_: shape.VarTupleType) -> str:
    return _call("list", _shape(type_.item_type), type_.max_length)


def _union(type_: shape.UnionType) -> str:
    """The only kind of union in server messages: a type or null."""
    (inner,) = (option for option in type_.types if not isinstance(option, shape.NoneType))
    return f"{_shape(inner)}.orNull()"


_WRITERS: dict[type[shape.Type], Callable[[Any], str]] = {
    shape.BoolType: lambda _: "flag()",
    shape.IntType: _whole,
    shape.FloatType: lambda t: _call("number", t.ge, t.le),
    shape.StrType: lambda t: _call("text", t.min_length, t.max_length),
    shape.BytesType: lambda t: _call("bytes", t.min_length, t.max_length),
    shape.StructType: lambda t: t.cls.__name__,
    shape.LiteralType: _words,
    shape.VarTupleType: _list,
    shape.UnionType: _union,
    shape.DictType: lambda t: _call("map", _shape(t.key_type), _shape(t.value_type)),
}


if __name__ == "__main__":
    sys.stdout.write(web_shapes())
