"""Callbacks of one thing alone, which go some time after it."""

from collections.abc import Collection

import sqlalchemy as sa

from signaling.domain.callbacks import ONE
from signaling.storage.database import Database
from signaling.storage.schema import callback_outbox, callbacks


async def forget_callbacks(
    database: Database, things: sa.Table, running: Collection[str], ended_before_ms: int
) -> int:
    """Removes those of things that ended before, and have nothing left to be delivered. `running`:
    the statuses of things that have not ended."""
    over = sa.select(things.c.id).where(
        things.c.status.not_in(running), things.c.updated_ms < ended_before_ms
    )
    waits = sa.exists().where(callback_outbox.c.callback_id == callbacks.c.id)
    gone = callbacks.delete().where(
        callbacks.c.event_group == ONE, callbacks.c.id.in_(over), ~waits
    )
    return await database.write(lambda c: c.execute(gone).rowcount)
