"""The table of lies: what the server does, what the client must do, what the user must hear."""

from tests.hostile.lies import door, frames, messages, offers, secrets
from tests.hostile.lies.row import Must, Row

TABLE: tuple[Row, ...] = (
    *door.ROWS,
    *frames.ROWS,
    *offers.ROWS,
    *secrets.ROWS,
    *messages.ROWS,
)
_OPEN = {
    "python": ["told-as-other"],
    "chromium": ["told-as-other"],
    "firefox": [],
}
"""Lies that a client still falls for, or whose verdict is not yet clear: not played against it."""


def rows_for(kind: str) -> list[Row]:
    """The lies that are told to a kind of client."""
    return [row for row in TABLE if kind in row.only and row.name not in _OPEN[kind]]


__all__ = ["TABLE", "Must", "Row", "rows_for"]
