"""Changes of the encryption secret, one after the other: each derives a key, which takes its time.

While one is under way, later calls wait together, and only the newest secret of these is derived.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from sealroute_client.errors import NotConnected

Apply = Callable[[str, bool], Awaitable[None]]
"""(secret, immediate)"""


@dataclass(slots=True)
class _Change:
    """`is_immediate`: one of its calls excludes clients that have only the previous secret."""

    secret: str
    is_immediate: bool
    done: asyncio.Future[None]


class SecretChanges:
    def __init__(self, apply: Apply, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._apply = apply
        self._spawn = spawn
        self._current: _Change | None = None
        self._next: _Change | None = None

    async def ask(self, secret: str, *, is_immediate: bool) -> None:
        """Returns when this secret is in use, or a later one that overtook it. A cancelled
        call changes nothing. Errors: those of `apply`; NotConnected."""
        if self._next is not None:
            self._next.secret = secret
            self._next.is_immediate = self._next.is_immediate or is_immediate
        else:
            done = asyncio.get_running_loop().create_future()
            done.add_done_callback(_look)
            self._next = _Change(secret, is_immediate, done)
        change = self._next
        if self._current is None:
            self._begin_next()
        await asyncio.shield(change.done)

    def _begin_next(self) -> None:
        self._current, self._next = self._next, None
        if self._current is not None:
            self._spawn(self._make(self._current))

    async def _make(self, change: _Change) -> None:
        try:
            await self._apply(change.secret, change.is_immediate)
        except Exception as error:  # noqa: BLE001 - who called is told
            _end(change, error)
        else:
            _end(change)
        self._begin_next()

    def close(self) -> None:
        """What was under way has no effect."""
        for change in (self._current, self._next):
            if change is not None:
                _end(change, NotConnected("The session is not connected"))
        self._current = self._next = None


def _end(change: _Change, error: Exception | None = None) -> None:
    if change.done.done():
        return
    if error is None:
        change.done.set_result(None)
    else:
        change.done.set_exception(error)


def _look(done: asyncio.Future[None]) -> None:
    """Who called may be cancelled: an error that nobody waits for any more is none."""
    if not done.cancelled():
        done.exception()
