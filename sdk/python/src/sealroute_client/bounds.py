"""Whether bytes hold as many MessagePack values as they claim, before any is made.

A decoder makes room for an array when it reads its header, level within level: three bytes in a
row of a few hundred claim gigabytes. Here the claims are added up on the bytes alone, as the server
and the browser SDK do it.
"""

from typing import Final

from sealroute_client.rules import CONTAINER_VALUES, MAX_MESSAGE_DEPTH, MAX_MESSAGE_VALUES

_FIXED: Final = {
    0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9,
    0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18,
}  # fmt: skip
"""Numbers and extensions of a fixed size: all their bytes."""
_LENGTHS: Final = {
    0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1),
    0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0),
}  # fmt: skip
"""Byte strings, extensions and texts: how wide their length is, and what stands behind it."""
_CONTAINERS: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
"""Arrays and maps: how wide their count is, and how many values one of it is."""


def is_bounded(data: bytes) -> bool:
    """True for bytes that are one whole value of bounded depth and not too many parts: what it
    claims to hold is there."""
    at, total = 0, 1
    owed = [1]
    """Values that are still to come, by depth."""
    while owed:
        if not owed[-1]:
            owed.pop()
            continue
        if at >= len(data):
            return False
        owed[-1] -= 1
        size, members = _item(data, at)
        at += size
        if members is None:
            continue
        total += members + CONTAINER_VALUES
        owed.append(members)
        if total > MAX_MESSAGE_VALUES or len(owed) > MAX_MESSAGE_DEPTH + 1:
            return False
    return at == len(data)


def _item(data: bytes, at: int) -> tuple[int, int | None]:
    """How many bytes a value takes without those that it holds, and how many an array or a map
    holds."""
    first = data[at]
    if first <= 0x7F or first >= 0xE0 or 0xC0 <= first <= 0xC3:
        return 1, None
    if first <= 0x9F:
        return 1, (first & 0x0F) * (2 if first <= 0x8F else 1)
    if first <= 0xBF:
        return 1 + (first & 0x1F), None
    if first in _FIXED:
        return _FIXED[first], None
    if first in _LENGTHS:
        width, extra = _LENGTHS[first]
        return 1 + width + extra + int.from_bytes(data[at + 1 : at + 1 + width]), None
    width, each = _CONTAINERS[first]
    return 1 + width, each * int.from_bytes(data[at + 1 : at + 1 + width])
