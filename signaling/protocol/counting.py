"""Counts the values of a message and their depth before it is decoded.

A decoder allocates as it reads: three bytes of msgpack announce an array of thousands, which is
allocated at once, on every level. So a message is measured on its bytes first.
"""

import re

_TEXT_OR_SEPARATOR = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[,:\[{]', re.DOTALL)
"""Possessive, and the closing quote is optional: an unterminated string is scanned once, not again
from each of its quotes."""
CONTAINER_VALUES = 4
"""Count of an array or a map in addition to its members: an empty one is an object, too."""


class TooManyError(ValueError):
    """The message has more values, or nests deeper, than the limit."""


def check_msgpack(data: bytes, most: int, deepest: int) -> None:
    """Raises `TooManyError`. Invalid msgpack passes; the decoder refuses it."""
    at, size, total = 0, len(data), 1
    left = 1
    outer: list[int] = []
    while True:
        while not left:
            if not outer:
                return
            left = outer.pop()
        left -= 1
        if at >= size:
            return
        first = data[at]
        skipped = _SIZES[first]
        if skipped:
            at += skipped
            continue
        at, members = _long_form(data, at, first)
        if members < 0:
            continue
        total += members + CONTAINER_VALUES
        if total > most or len(outer) > deepest:
            raise TooManyError
        outer.append(left)
        left = members


def check_json(data: bytes, most: int) -> None:
    """Raises `TooManyError`. Each value except the first follows a comma, a colon or a bracket."""
    containers = data.count(b"[") + data.count(b"{")
    if data.count(b",") + data.count(b":") + (1 + CONTAINER_VALUES) * containers < most:
        return
    # Some of these may be inside strings.
    separators = texts = 0
    for found in _TEXT_OR_SEPARATOR.finditer(data):
        mark = found[0]
        if mark.startswith(b'"'):
            texts += 1
        else:
            separators += 1 + CONTAINER_VALUES * (mark in b"[{")
        if separators >= most or texts > most:
            raise TooManyError


def _long_form(data: bytes, at: int, first: int) -> tuple[int, int]:
    """The offset of the next value, and the number of members; -1 for a value without members."""
    if first in _LENGTHS:
        width, extra = _LENGTHS[first]
        return at + 1 + width + extra + int.from_bytes(data[at + 1 : at + 1 + width]), -1
    if first in _MEMBERS:
        width, each = _MEMBERS[first]
        return at + 1 + width, each * int.from_bytes(data[at + 1 : at + 1 + width])
    if first >= 0x90:
        return at + 1, first & 0x0F
    return at + 1, 2 * (first & 0x0F)


_LENGTHS = {
    0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0),
    0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1),
    0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0),
}  # fmt: skip
"""Byte strings, extensions and strings: the width of the length field, and the bytes after it that
the length does not count."""
_MEMBERS = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
"""Arrays and maps: the width of the length field, and the values per member."""
_FIXED = {
    0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9,
    0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18,
}  # fmt: skip


def _size(first: int) -> int:
    """The size of a value if its first byte determines it, otherwise 0."""
    if first <= 0x7F or first >= 0xE0 or first in (0xC0, 0xC1, 0xC2, 0xC3):
        return 1
    if 0xA0 <= first <= 0xBF:
        return 1 + (first & 0x1F)
    return _FIXED.get(first, 0)


_SIZES = tuple(_size(first) for first in range(256))
