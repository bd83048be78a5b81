"""Stores the changes of records in order, however long the storage is away."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from sfu.ids import short
from signaling.domain.errors import Unavailable

log = structlog.get_logger(__name__)

_RETRY_S = 1.0
Sleep = Callable[[float], Awaitable[None]]


class OrderedWrites:
    """One record's writes follow each other; those of others do not wait. Used on the event loop
    only."""

    def __init__(self, sleep: Sleep) -> None:
        self._sleep = sleep
        self._last: dict[str, asyncio.Task[None]] = {}

    def later(self, record_id: str, write: Callable[[], Awaitable[object]]) -> None:
        """Behind the earlier writes of the record."""
        before = self._last.get(record_id)
        self._last[record_id] = asyncio.create_task(self._write(record_id, write, before))

    async def _write(
        self,
        record_id: str,
        write: Callable[[], Awaitable[object]],
        before: "asyncio.Task[None] | None",
    ) -> None:
        if before is not None:
            await asyncio.wait({before})
        try:
            while True:
                try:
                    await write()
                    break
                except Unavailable:
                    await self._sleep(_RETRY_S)
        except Exception:
            log.exception("a state is not stored", record=short(record_id))
        finally:
            # Whoever waits for the last write must not wait for one that is over.
            if self._last.get(record_id) is asyncio.current_task():
                del self._last[record_id]

    async def written(self, record_id: str) -> None:
        """Returns when what is known of the record is stored."""
        while (last := self._last.get(record_id)) is not None:
            await asyncio.wait({last})

    def pending(self) -> set["asyncio.Task[None]"]:
        return set(self._last.values())
