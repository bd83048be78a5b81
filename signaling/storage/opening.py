"""Opening a store: migrates the schema and wraps the secrets."""

import importlib

import sqlalchemy as sa

from signaling.domain.errors import ErrorCode, Unavailable
from signaling.storage.database import Database
from signaling.storage.revision import is_known, is_usable, latest_revision, revision_of
from signaling.storage.store import SqlStore
from signaling.storage.wrapping import SecretWrapper


async def opened_store(database: Database, wrapper: SecretWrapper) -> SqlStore:
    """The store, with an up-to-date schema and wrapped secrets.

    Errors: `storage_unavailable` when the database cannot be used, is from a newer release, or
    holds secrets that the key cannot unwrap.
    """
    await database.write(lambda c: _bring_up_to_date(c, wrapper))
    store = SqlStore(database, wrapper)
    if await store.has_unwrapped_secrets():
        await store.rewrap_secrets()
    await store.projects()
    database.outage.opened = True
    return store


def _bring_up_to_date(connection: sa.Connection, wrapper: SecretWrapper) -> None:
    """Migrates if needed. Alembic is loaded only then: it costs 10 MB. A newer schema stays as it
    is: while a cluster is upgraded node by node, nodes of the release before use it."""
    if connection.dialect.name == "postgresql":
        # If several nodes start at once, one migrates.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    found = revision_of(connection)
    if found == latest_revision():
        return
    if found is not None and not is_known(found):
        if is_usable(connection):
            return
        raise Unavailable(
            ErrorCode.STORAGE_UNAVAILABLE,
            f"The database is from a newer release (schema {found}). Run that release, or restore "
            "a backup from before the upgrade.",
        )
    importlib.import_module("signaling.storage.migrate").migrate(connection, wrapper)


_MIGRATION_LOCK = 0x5EA1
