"""The messages as TypeScript types, for the browser SDK: interfaces and unions, no code.

`python -m signaling.spec.typescript` prints them.
"""

import sys
from collections.abc import Callable
from typing import Any

from msgspec import inspect as shape

from signaling.protocol.messages import Message
from signaling.protocol.shapes import CLIENT_MESSAGES, SERVER_MESSAGES, all_structs


def typescript() -> str:
    """The complete file."""
    blocks = [_interface(struct) for struct in all_structs()]
    blocks.append(_union("ClientMessage", CLIENT_MESSAGES))
    blocks.append(_union("ServerMessage", SERVER_MESSAGES))
    return "\n\n".join(blocks) + "\n"


def _interface(struct: shape.StructType) -> str:
    lines = [f"export interface {struct.cls.__name__} {{"]
    if struct.tag is not None:
        lines.append(f"  readonly {struct.tag_field}: '{struct.tag}';")
    for field in struct.fields:
        optional = "" if field.required else "?"
        lines.append(f"  readonly {field.encode_name}{optional}: {_type(field.type)};")
    return "\n".join([*lines, "}"])


def _type(type_: shape.Type) -> str:
    writer = _WRITERS.get(type(type_))
    if writer is None:
        raise TypeError(f"no TypeScript for {type(type_).__name__}")
    return writer(type_)


def _item(type_: shape.Type) -> str:
    text = _type(type_)
    return f"({text})" if " | " in text else text


def _dict(type_: Any) -> str:  # noqa: ANN401 - chosen by type in the table below
    key, value = _type(type_.key_type), _type(type_.value_type)
    if isinstance(type_.key_type, shape.LiteralType):
        return f"{{ readonly [Key in {key}]?: {value} }}"
    return f"{{ readonly [key: {key}]: {value} }}"


def _union(name: str, members: tuple[type[Message], ...]) -> str:
    options = "".join(f"\n  | {cls.__name__}" for cls in members)
    return f"export type {name} ={options};"


_WRITERS: dict[type[shape.Type], Callable[[Any], str]] = {
    shape.BoolType: lambda _: "boolean",
    shape.IntType: lambda _: "number",
    shape.FloatType: lambda _: "number",
    shape.StrType: lambda _: "string",
    shape.BytesType: lambda _: "Uint8Array",
    shape.NoneType: lambda _: "null",
    shape.StructType: lambda t: t.cls.__name__,
    shape.LiteralType: lambda t: " | ".join(f"'{value}'" for value in t.values),
    shape.VarTupleType: lambda t: f"readonly {_item(t.item_type)}[]",
    shape.UnionType: lambda t: " | ".join(_type(option) for option in t.types),
    shape.DictType: _dict,
}


if __name__ == "__main__":
    sys.stdout.write(typescript())
