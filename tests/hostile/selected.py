"""Which rows one run of the table plays.

All rows are played at once, before the first test of a kind of client is judged; so what was asked
for on the command line is read from the tests that were collected.

`make test` plays each row of the browsers in one of them: a lie that only one browser falls for is
found by the rows that are about this browser (`only`), and by `make test-all`.
"""

from collections.abc import Iterable
from zlib import crc32

import pytest

from tests.hostile.lies import Row
from tests.hostile.lies.row import BROWSERS


def as_parameters(kind: str, rows: Iterable[Row]) -> list[object]:
    """The rows as pytest's parameters, named; those that another kind plays are long."""
    return [
        pytest.param(row, id=row.name, marks=[pytest.mark.long] if is_long(kind, row) else [])
        for row in rows
    ]


def is_long(kind: str, row: Row) -> bool:
    """Whether the other browser plays this row in `make test`. Honest rows are played in both:
    what they show is that the bed sees."""
    if not row.covers or not set(BROWSERS) <= set(row.only) or kind not in BROWSERS:
        return False
    return BROWSERS[crc32(row.name.encode()) % len(BROWSERS)] != kind


def selected(request: pytest.FixtureRequest) -> list[Row]:
    """The rows whose tests were collected in the file that asks."""
    return [
        item.callspec.params["row"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
        if hasattr(item, "callspec")
    ]
