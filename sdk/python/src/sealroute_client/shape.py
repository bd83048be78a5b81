"""What a value of a message must be. The table of messages (shapes.py) is made of these, and the
one place that looks is `check_message`: behind it the members that a kind of message must have are
there, and have their types.

Members that no shape names pass, so that messages can grow; so do messages of unknown kinds.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sealroute_client.rules import MAX_ID_UNITS, MAX_INTEGER

Check = Callable[[object], bool]
_NOT_IN_IDS: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")


def _is_within(size: float, least: float | None, most: float | None) -> bool:
    return (least is None or size >= least) and (most is None or size <= most)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_id(value: object) -> bool:
    if not isinstance(value, str) or _NOT_IN_IDS.search(value):
        return False
    return 1 <= len(value.encode("utf-16-le")) // 2 <= MAX_ID_UNITS


def anything() -> Check:
    """Judged elsewhere: what is said of encryption, by the states of trust."""
    return lambda _value: True


def flag() -> Check:
    return lambda value: isinstance(value, bool)


def whole(*, least: int = -MAX_INTEGER, most: int = MAX_INTEGER) -> Check:
    """An integer that every client reads as it is."""
    return lambda value: type(value) is int and least <= value <= most


def number(*, least: float | None = None, most: float | None = None) -> Check:
    """A finite number."""
    return lambda value: _is_number(value) and _is_within(value, least, most)  # type: ignore[arg-type]


def text(*, least: int | None = None, most: int | None = None) -> Check:
    """The bounds count characters."""
    return lambda value: isinstance(value, str) and _is_within(len(value), least, most)


def data(*, least: int | None = None, most: int | None = None) -> Check:
    """The bounds count bytes."""
    return lambda value: isinstance(value, bytes) and _is_within(len(value), least, most)


def identifier() -> Check:
    """Ids are keys of tables, and are shown: 1 to 256 UTF-16 code units (docs/e2ee.md section 2),
    none of them a control character or half of a pair."""
    return _is_id


def one_of(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def many(check: Check, *, most: int | None = None) -> Check:
    """A list of at most so many."""
    return lambda value: (
        isinstance(value, list)
        and _is_within(len(value), None, most)
        and all(check(entry) for entry in value)
    )


def table(key: Check, check: Check) -> Check:
    return lambda value: (
        isinstance(value, dict) and all(key(name) and check(entry) for name, entry in value.items())
    )


def or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


@dataclass(frozen=True, slots=True)
class Part:
    """A map with these members; the others may be absent."""

    needed: Mapping[str, Check] = field(default_factory=dict)
    others: Mapping[str, Check] = field(default_factory=dict)

    def __call__(self, value: object) -> bool:
        return (
            isinstance(value, dict)
            and all(name in value and check(value[name]) for name, check in self.needed.items())
            and all(name not in value or check(value[name]) for name, check in self.others.items())
        )
