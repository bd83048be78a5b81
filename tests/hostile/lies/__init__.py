"""The table of lies: what the server does, what the client must do, what the user must hear."""

from tests.hostile.lies import door, frames, messages, offers, secrets
from tests.hostile.lies.row import Must, Row

OPEN = frozenset(
    [
        "relayed",
        "session-mode-unknown",
        "session-mode-missing",
        "session-missing",
        "resume-e2ee-false",
        "resume-relayed",
        "resume-other-session",
        "replay-reoffered",
        "replay-second-line",
        "replay-stream-again",
        "told-as-other",
        "no-fingerprint",
        "up-pcmu",
        "up-events",
        "up-other-mids",
        "up-swapped-mids",
        "up-no-lines",
        "up-pong",
        "sub-pong",
        "up-broken",
        "change-while-publishing",
        "signal-clear",
        "misshapen",
        "uplink-lost",
    ]
)
"""Lies that clients still fall for: no part of the table until their check is built."""
ALL: tuple[Row, ...] = (
    *door.ROWS,
    *frames.ROWS,
    *offers.ROWS,
    *secrets.ROWS,
    *messages.ROWS,
)
TABLE: tuple[Row, ...] = tuple(row for row in ALL if row.name not in OPEN)

__all__ = ["ALL", "TABLE", "Must", "Row"]
