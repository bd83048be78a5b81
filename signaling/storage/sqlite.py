"""The embedded store: SQLite in the data folder, shared with the command line.

WAL allows reading while the server writes; `synchronous=FULL` puts an acknowledged session on disk
before the answer is sent, so that a crash loses no acknowledged data.
"""

import asyncio
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from config.secret import Secret
from config.settings import NO_SECRET
from signaling.storage.database import Database
from signaling.storage.folder import DATABASE, prepare
from signaling.storage.opening import opened_store
from signaling.storage.store import SqlStore
from signaling.storage.wrapping import wrapper_of

READERS = 3


async def open_sqlite(
    data_dir: Path, *, sealing_key: Secret[str] = NO_SECRET, busy_timeout_ms: int = 5_000
) -> SqlStore:
    """Opens the store in a folder, creates the folder with mode 0700 if needed, and migrates.

    Errors: `Unavailable` when the folder or the database cannot be used.
    """
    path = data_dir / DATABASE
    await asyncio.to_thread(prepare, data_dir)
    engine = sa.create_engine(f"sqlite:///{path}")
    sa.event.listen(engine, "connect", _configure(busy_timeout_ms))
    sa.event.listen(engine, "begin", _begin_writing)
    database = Database(engine, readers=READERS, writers=1)
    try:
        return await opened_store(database, wrapper_of(sealing_key, data_dir))
    except BaseException:
        await database.close()
        raise


def _configure(busy_timeout_ms: int) -> Any:  # noqa: ANN401 - an event listener of SQLAlchemy
    def on_connect(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI object
        # `_begin_writing` starts transactions with the lock that they need.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={busy_timeout_ms}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return on_connect


def _begin_writing(connection: sa.Connection) -> None:
    """Takes the write lock at once for writes: SQLite cannot wait when it upgrades a read lock."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
