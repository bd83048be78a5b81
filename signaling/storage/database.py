"""A SQL database for the event loop: complete transactions run on its own threads.

It uses only SQLAlchemy's Core and synchronous engine. The asyncio extension loads the ORM (6 MB of
an idle server) and switches threads for each statement instead of each transaction.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from signaling.domain.errors import ErrorCode, Unavailable

T = TypeVar("T")
Work = Callable[[sa.Connection], T]


log = structlog.get_logger(__name__)

REMIND_S = 60.0
"""An outage of the storage is logged once and then every minute, not for each request."""


def reason_of(failure: SQLAlchemyError) -> str:
    """The first line of the database's message, without statement or parameters."""
    if isinstance(failure, DBAPIError) and failure.orig is not None:
        lines = str(failure.orig).strip().splitlines()
        return lines[0][:300] if lines else type(failure.orig).__name__
    return type(failure).__name__


class OutageLog:
    """Logs an outage of the storage; used on the event loop only. Before `opened` is set it logs
    nothing, because the caller that opens the storage gets the error."""

    def __init__(self) -> None:
        self.opened = False
        self._said_at: float | None = None

    def failed(self, reason: str, now: float) -> None:
        if self.opened and (self._said_at is None or now - self._said_at >= REMIND_S):
            self._said_at = now
            log.error("storage unavailable", reason=reason)

    def recovered(self) -> None:
        """A write succeeded."""
        if self._said_at is not None:
            self._said_at = None
            log.warning("storage available again")


def may_be_name(text: str) -> bool:
    """Whether a stored name can equal the text. Names are ASCII; drivers and databases refuse text
    with a NUL or a lone surrogate (which JSON can express and UTF-8 cannot)."""
    return text.isascii() and "\0" not in text


class Database:
    """Owns the engine and the threads that use it.

    With `writers` 1, writes wait for each other here, in order, instead of for a file lock.
    """

    def __init__(self, engine: sa.Engine, *, readers: int, writers: int) -> None:
        self._engine = engine
        self._reading = engine.execution_options(reading=True)
        self.outage = OutageLog()
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="storage-read")
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="storage-write")

    async def read(self, work: Work[T]) -> T:
        """Errors: `storage_unavailable`."""
        return await self._run(self._readers, self._read, work)

    async def write(self, work: Work[T]) -> T:
        """One transaction, committed on return. Errors: `storage_unavailable`, and SQLAlchemy's
        `IntegrityError` unchanged."""
        written = await self._run(self._writers, self._write, work)
        self.outage.recovered()
        return written

    async def close(self) -> None:
        for threads in (self._writers, self._readers):
            await asyncio.to_thread(threads.shutdown)
        self._engine.dispose()

    def _read(self, work: Work[T]) -> T:
        with self._reading.connect() as connection:
            return work(connection)

    def _write(self, work: Work[T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)

    async def _run(
        self, threads: ThreadPoolExecutor, transaction: Callable[[Work[T]], T], work: Work[T]
    ) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, transaction, work)
        except IntegrityError:
            raise
        except SQLAlchemyError as cause:
            self.outage.failed(reason_of(cause), time.monotonic())
            raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE) from cause
