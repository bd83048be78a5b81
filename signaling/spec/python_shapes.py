"""The checks of the Python SDK for each server message: the table of messages as data in Python,
for `sealroute_client/shape.py`.

`python -m signaling.spec.python_shapes` prints it; `ruff format` gives it its lines.
"""

import sys
from typing import Final

from msgspec import inspect as shape

from signaling.protocol.shapes import SERVER_MESSAGES, struct_of
from signaling.spec.member_checks import Check, checks_of, parts_of_server_messages

_HEAD: Final = '''\
"""What each message of the server must look like. Generated from signaling/protocol by
`make docs`; edit that."""

from typing import Final

from sealroute_client.shape import (
    Part,
    anything,
    data,
    flag,
    identifier,
    many,
    number,
    one_of,
    or_null,
    table,
    text,
    whole,
)
'''
_NAMES: Final = {
    "any": "anything",
    "bytes": "data",
    "flag": "flag",
    "id": "identifier",
    "list": "many",
    "map": "table",
    "number": "number",
    "text": "text",
    "whole": "whole",
    "word": "one_of",
}
"""Where the name of a check is a builtin's, another one."""


def python_shapes() -> str:
    """The complete file, before `ruff format`."""
    parts = [
        f"_{struct.cls.__name__}: Final = {_part(struct)}\n"
        for struct in parts_of_server_messages()
    ]
    messages = "".join(
        f'    "{struct.tag}": {_part(struct)},\n' for struct in map(struct_of, SERVER_MESSAGES)
    )
    return f"{_HEAD}\n{''.join(parts)}\nMESSAGES: Final = {{\n{messages}}}\n"


def _part(struct: shape.StructType) -> str:
    checks = checks_of(struct)
    required = {name: check for name, check in checks.items() if not check.is_optional}
    optional = {name: check for name, check in checks.items() if check.is_optional}
    groups = [required, optional] if optional else [required]
    return f"Part({', '.join(map(_members, groups))})"


def _members(checks: dict[str, Check]) -> str:
    rows = "".join(f'"{name}": {_text(check)},' for name, check in checks.items())
    return f"{{{rows}}}"


def _text(check: Check) -> str:
    return f"or_null({_not_null(check)})" if check.is_nullable else _not_null(check)


def _not_null(check: Check) -> str:
    if check.part is not None:
        return f"_{check.part.__name__}"
    name = _NAMES[check.kind]
    if check.kind == "word":
        words = ", ".join(f'"{word}"' for word in check.words)
        return f"{name}({words})"
    if check.of is not None:
        inner = [_text(one) for one in (check.keys, check.of) if one is not None]
        return f"{name}({', '.join([*inner, *_bounds(check)])})"
    return f"{name}({', '.join(_bounds(check))})"


def _bounds(check: Check) -> list[str]:
    bounds = (("least", check.least), ("most", check.most))
    return [f"{name}={value}" for name, value in bounds if value is not None]


if __name__ == "__main__":
    sys.stdout.write(python_shapes())
