"""The table of lies: what the server does, what the client must do, what the user must hear."""

from tests.hostile.lies import door, frames, messages, offers, secrets
from tests.hostile.lies.row import Must, Row

OPEN: frozenset[str] = frozenset()
ALL: tuple[Row, ...] = (
    *door.ROWS,
    *frames.ROWS,
    *offers.ROWS,
    *secrets.ROWS,
    *messages.ROWS,
)
TABLE: tuple[Row, ...] = tuple(row for row in ALL if row.name not in OPEN)

__all__ = ["ALL", "TABLE", "Must", "Row"]
