"""The store in PostgreSQL, for several nodes."""

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from config.secret import Secret
from signaling.domain.errors import ErrorCode, Unavailable
from signaling.storage.database import Database, reason_of
from signaling.storage.opening import opened_store
from signaling.storage.revision import revision_of
from signaling.storage.store import SqlStore
from signaling.storage.wrapping import SecretWrapper

_DRIVER = "postgresql+psycopg"
_THREADS = 4
_CONNECT_S = 5
DEFAULT_PORT = 5432


async def open_postgres(url: Secret[str], wrapper: SecretWrapper) -> SqlStore:
    """Opens the store at `postgresql://user:password@host/name` and brings its schema up to date.

    Errors: `Unavailable` when the address is not valid or the database cannot be used.
    """
    engine = engine_of(url)
    address = engine.url
    database = Database(engine, readers=_THREADS, writers=_THREADS)
    try:
        return await opened_store(database, wrapper)
    except Unavailable as failure:
        await database.close()
        if not isinstance(failure.__cause__, SQLAlchemyError):
            raise
        where = f"{address.host or 'localhost'}:{address.port or DEFAULT_PORT}"
        raise Unavailable(
            ErrorCode.STORAGE_UNAVAILABLE,
            f"PostgreSQL at {where} cannot be used: {reason_of(failure.__cause__)}",
        ) from failure
    except BaseException:
        await database.close()
        raise


def revision_at(url: Secret[str]) -> str | None:
    """The revision of the schema there. Errors: `Unavailable`, and SQLAlchemy's."""
    engine = engine_of(url)
    try:
        with engine.connect() as connection:
            return revision_of(connection)
    finally:
        engine.dispose()


def engine_of(url: Secret[str], *, connections: int = 2 * _THREADS, **options: object) -> sa.Engine:
    """`options`: of libpq. Errors: `Unavailable` when the address is not valid."""
    try:
        address = sa.make_url(url.reveal())
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise Unavailable(
            ErrorCode.STORAGE_UNAVAILABLE, "The address of the database is not valid."
        ) from None
    return sa.create_engine(
        address.set(drivername=_DRIVER),
        pool_size=connections,
        pool_pre_ping=True,
        connect_args={"connect_timeout": _CONNECT_S} | options,
    )
