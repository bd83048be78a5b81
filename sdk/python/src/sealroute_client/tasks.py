"""The background work of one Session: it ends with it, and its errors reach the application."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from sealroute_client.errors import SealrouteError


class Tasks:
    def __init__(self, report: Callable[[SealrouteError], None]) -> None:
        """`report` gets what failed without a caller."""
        self._report = report
        self.running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.running.add(task)
        task.add_done_callback(self._on_done)

    async def cancel(self, except_for: "asyncio.Task[Any] | None") -> None:
        """Returns when all have ended, but the one that asks for it."""
        tasks = [task for task in self.running if task is not except_for]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        self.running.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, SealrouteError):
            self._report(error)
        else:
            logging.getLogger(__name__).error("A task of the session failed", exc_info=error)
