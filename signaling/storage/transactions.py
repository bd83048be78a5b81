"""Transactions of a store, with failures of the database as `storage_unavailable`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from signaling.domain.errors import ErrorCode, Unavailable


class Transactions:
    """Reading and writing blocks over an engine that somebody else owns."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(reading=True)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._reading.connect() as connection:
                yield connection
        except SQLAlchemyError as cause:
            raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE) from cause

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Commits at the end of the block. Errors: `IntegrityError` as it is."""
        try:
            async with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except SQLAlchemyError as cause:
            raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE) from cause
