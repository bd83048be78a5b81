"""What every database goes through before it is a store."""

import importlib

import sqlalchemy as sa

from signaling.domain.errors import ErrorCode, Unavailable
from signaling.storage.database import Database
from signaling.storage.revision import is_known, latest_revision, revision_of
from signaling.storage.store import SqlStore
from signaling.storage.wrapping import SecretWrapper


async def opened_store(database: Database, wrapper: SecretWrapper) -> SqlStore:
    """The store, its schema brought up to date and its secrets wrapped.

    Errors: `storage_unavailable` when the database cannot be used, is of a newer release, or
    holds secrets that the key does not open.
    """
    await database.write(_bring_up_to_date)
    store = SqlStore(database, wrapper)
    if await store.holds_clear_secrets():
        await store.seal_all()
    await store.projects()
    database.trouble.opened = True
    return store


def _bring_up_to_date(connection: sa.Connection) -> None:
    """Migrates where something is to be done. Alembic is loaded only then: it costs 10 MB."""
    if connection.dialect.name == "postgresql":
        # Of several nodes that start at once, one migrates.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    found = revision_of(connection)
    if found == latest_revision():
        return
    if found is not None and not is_known(found):
        raise Unavailable(
            ErrorCode.STORAGE_UNAVAILABLE,
            f"The database is of a newer release (schema {found}). Run that release, or restore a "
            "backup from before the upgrade.",
        )
    importlib.import_module("signaling.storage.migrate").migrate(connection)


_MIGRATION_LOCK = 0x5EA1
