"""Group commit: many small writes in few transactions. Each caller waits until its row is on disk.

Rows that arrive while a transaction is running are written by the next one. So an idle store writes
at once, and a busy one shares each sync among many rows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

# Rows per transaction. More would delay other writers.
MAX_ROWS = 256

Row = TypeVar("Row")


@dataclass
class GroupCommit(Generic[Row]):
    """`write` stores rows in one transaction, all or none. Used on the event loop only."""

    write: Callable[[Sequence[Row]], Awaitable[None]]
    _waiting: "list[tuple[Row, asyncio.Future[None]]]" = field(default_factory=list)
    _writer: "asyncio.Task[None] | None" = None

    async def add(self, row: Row) -> None:
        """Returns when the row is stored. Errors: those of `write` for this row."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        await done

    async def close(self) -> None:
        """Waits until all added rows are stored."""
        if self._writer is not None:
            await self._writer

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MAX_ROWS], self._waiting[MAX_ROWS:]
                await self._write_group(group)
        finally:
            self._writer = None

    async def _write_group(self, group: "list[tuple[Row, asyncio.Future[None]]]") -> None:
        try:
            await self.write([row for row, _ in group])
        except Exception as failure:  # noqa: BLE001 - the callers get it
            if len(group) == 1:
                _settle(group[0][1], failure)
                return
            # One row is at fault; write each on its own, so that the others succeed.
            for one in group:
                await self._write_group([one])
        else:
            for _, done in group:
                _settle(done, None)


def _settle(done: "asyncio.Future[None]", failure: Exception | None) -> None:
    if done.done():
        return  # the caller was cancelled
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)
