"""How many values a message has, and how deep they lie, before any of them is made.

A reader makes objects as it goes: three bytes of msgpack announce an array of thousands, and its
slots are taken at once, level in level. So a message is measured on its bytes first.
"""

import re

_TEXT_OR_SEPARATOR = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[,:\[{]', re.DOTALL)
"""Possessive, and with an end that may be missing: a text without end is read once, not from each
of its quotation marks."""
CONTAINER_VALUES = 4
"""What an array or a map counts for beside its members: an empty one is an object of its own."""


class TooManyError(ValueError):
    """More values, or deeper, than the limit."""


def check_msgpack(data: bytes, most: int, deepest: int) -> None:
    """Raises `TooManyError`. What is no msgpack at all is the reader's to refuse."""
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
    """Raises `TooManyError`. Each value but the first comes after a comma, a colon or a bracket."""
    containers = data.count(b"[") + data.count(b"{")
    if data.count(b",") + data.count(b":") + (1 + CONTAINER_VALUES) * containers < most:
        return
    # Some of these may stand in texts.
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
    """Where the next value begins, and how many values this one holds; -1: it is no container."""
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
"""Byte strings, extensions and texts: the width of their length, and what follows it."""
_MEMBERS = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
"""Arrays and maps: the width of their length, and the values of each member."""
_FIXED = {
    0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9,
    0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18,
}  # fmt: skip


def _size(first: int) -> int:
    """Of a value that its first byte tells whole; 0: look closer."""
    if first <= 0x7F or first >= 0xE0 or first in (0xC0, 0xC1, 0xC2, 0xC3):
        return 1
    if 0xA0 <= first <= 0xBF:
        return 1 + (first & 0x1F)
    return _FIXED.get(first, 0)


_SIZES = tuple(_size(first) for first in range(256))
