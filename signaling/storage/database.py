"""A SQL database, worked on from the event loop: whole transactions run on threads of its own.

SQLAlchemy's Core and its plain engine only. Its asyncio extension brings the ORM along (6 MB of
an idle server) and hops between threads for each statement instead of each transaction.
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
"""A storage that stays away is said once and then each minute, not once for each request."""


def reason_of(failure: SQLAlchemyError) -> str:
    """The database's or the system's own words, on one line: neither statement nor parameters."""
    if isinstance(failure, DBAPIError) and failure.orig is not None:
        lines = str(failure.orig).strip().splitlines()
        return lines[0][:300] if lines else type(failure.orig).__name__
    return type(failure).__name__


class Trouble:
    """What the log says of a storage that does not take what it is given. Owner: the loop. Until it
    was `opened`, who opens it is told instead."""

    def __init__(self) -> None:
        self.opened = False
        self._said_at: float | None = None

    def says(self, reason: str, now: float) -> None:
        if self.opened and (self._said_at is None or now - self._said_at >= REMIND_S):
            self._said_at = now
            log.error("storage unavailable", reason=reason)

    def is_over(self) -> None:
        """Something was written."""
        if self._said_at is not None:
            self._said_at = None
            log.warning("storage available again")


def may_be_name(text: str) -> bool:
    """Whether something could be kept under that name. Names are ASCII; what cannot be written in
    UTF-8 (JSON can spell half a surrogate pair) or has a NUL, drivers and databases refuse."""
    return text.isascii() and "\0" not in text


class Database:
    """Owner of the engine and of the threads that use it.

    `writers` 1 makes writes wait for each other here, in order, rather than for a file's lock.
    """

    def __init__(self, engine: sa.Engine, *, readers: int, writers: int) -> None:
        self._engine = engine
        self._reading = engine.execution_options(reading=True)
        self.trouble = Trouble()
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="storage-read")
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="storage-write")

    async def read(self, work: Work[T]) -> T:
        """Errors: `storage_unavailable`."""
        return await self._run(self._readers, self._read, work)

    async def write(self, work: Work[T]) -> T:
        """One transaction, committed on return. Errors: `storage_unavailable`; SQLAlchemy's
        `IntegrityError` as it is."""
        written = await self._run(self._writers, self._write, work)
        self.trouble.is_over()
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
            self.trouble.says(reason_of(cause), time.monotonic())
            raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE) from cause
