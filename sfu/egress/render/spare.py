"""Another browser for a render, which waits until the one that shows the page crashes.

Most of the time from a crash to a stream is the start of a browser. One that captures an empty page
costs hardly any CPU.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sfu.egress.render.browser import Browser
from sfu.egress.render.devtools import BrowserError

log = logging.getLogger(__name__)

AFTER_S = 5.0
"""The render's own browser comes first, and is busiest at its beginning."""


class Spare:
    """At most one. `make` a browser, and `end` one that did not start or is not needed."""

    def __init__(
        self, make: Callable[[], Browser], end: Callable[[Browser], Awaitable[None]]
    ) -> None:
        self._make = make
        self._end = end
        self._browser: Browser | None = None
        self._preparing: asyncio.Task[None] | None = None

    def prepare(self, after_s: float = AFTER_S) -> None:
        if self._preparing is None:
            self._preparing = asyncio.get_running_loop().create_task(self._prepare(after_s))

    async def _prepare(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        browser = self._browser = self._make()
        try:
            await browser.start()
        except (BrowserError, OSError) as failure:  # also a time-out
            log.info("no spare browser: %s", failure)
            self._browser = None
            await self._end(browser)

    async def take(self) -> Browser | None:
        """One that has started, or has begun to; None: start one."""
        preparing, self._preparing = self._preparing, None
        if preparing is None:
            return None
        if self._browser is None:
            await _cancelled(preparing)
            return None
        await preparing
        browser, self._browser = self._browser, None
        if browser is not None and browser.over.is_set():
            await self._end(browser)
            return None
        return browser

    async def close(self) -> None:
        if self._preparing is not None:
            await _cancelled(self._preparing)
        browser, self._browser = self._browser, None
        if browser is not None:
            await self._end(browser)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
