"""The checks of the browser SDK for each server message: the table of messages as data in
TypeScript, for `sdk/web/src/signaling/shape.ts`.

`python -m signaling.spec.web_shapes` prints it.
"""

import sys
from typing import Final

from msgspec import inspect as shape

from signaling.protocol.shapes import SERVER_MESSAGES, struct_of
from signaling.spec.member_checks import Check, checks_of, parts_of_server_messages

_HEAD: Final = """\
// Generated from signaling/protocol by `make docs`; edit that.
import type { ServerMessage } from './messages';
import { any, bytes, flag, id, list, map, number, opt, part, text, whole, word } from './shape';
import type { Part } from './shape';
"""


def web_shapes() -> str:
    """The complete file."""
    parts = parts_of_server_messages()
    blocks = [f"const {struct.cls.__name__} = {_part(struct)};\n" for struct in parts]
    messages = "".join(
        f"  {struct.tag}: {_part(struct, '  ')},\n" for struct in map(struct_of, SERVER_MESSAGES)
    )
    table = f"export const SERVER_SHAPES: {{ [T in ServerMessage['t']]: Part }} = {{\n{messages}}};"
    return "\n".join([_HEAD, *blocks, table]) + "\n"


def _part(struct: shape.StructType, indent: str = "") -> str:
    lines = [f"{indent}  {name}: {_member(check)},\n" for name, check in checks_of(struct).items()]
    return f"part({{\n{''.join(lines)}{indent}}})"


def _member(check: Check) -> str:
    return f"opt({_text(check)})" if check.is_optional else _text(check)


def _text(check: Check) -> str:
    return _not_null(check) + (".orNull()" if check.is_nullable else "")


def _not_null(check: Check) -> str:
    if check.part is not None:
        return check.part.__name__
    if check.kind == "word":
        return _call("word", *(f"'{word}'" for word in check.words))
    if check.of is not None:
        inner = [_text(one) for one in (check.keys, check.of) if one is not None]
        return _call(check.kind, *inner, check.most)
    return _call(check.kind, check.least, check.most)


def _call(name: str, *arguments: object) -> str:
    """A call without trailing None arguments."""
    given = list(arguments)
    while given and given[-1] is None:
        given.pop()
    words = ", ".join("undefined" if one is None else str(one) for one in given)
    return f"{name}({words})"


if __name__ == "__main__":
    sys.stdout.write(web_shapes())
