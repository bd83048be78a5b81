"""The table of lies: what the server does, what the client must do, what the user must hear."""

from tests.hostile.lies import (
    answers,
    between,
    codecs,
    door,
    downgrades,
    frames,
    honest,
    messages,
    offers,
    paths,
    peers,
    relayed,
    replays,
    requests,
    restarts,
    secrets,
)
from tests.hostile.lies.row import Must, Row

TABLE: tuple[Row, ...] = (
    *honest.ROWS,
    *door.ROWS,
    *relayed.ROWS,
    *peers.ROWS,
    *between.ROWS,
    *replays.ROWS,
    *frames.ROWS,
    *offers.ROWS,
    *answers.ROWS,
    *secrets.ROWS,
    *messages.ROWS,
    *requests.ROWS,
    *restarts.ROWS,
    *paths.ROWS,
    *downgrades.ROWS,
    *codecs.ROWS,
)


def rows_for(kind: str) -> list[Row]:
    """The lies that are told to a kind of client."""
    return [row for row in TABLE if kind in row.only]


__all__ = ["TABLE", "Must", "Row", "rows_for"]
