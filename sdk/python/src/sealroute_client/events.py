"""Events that an object tells its listeners, by the names of the OpenTok SDKs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """`name` as in the OpenTok SDKs; `detail` holds what belongs to it, in camelCase."""

    name: str
    detail: dict[str, object] = field(default_factory=dict)


Listener = Callable[[Event], Awaitable[None] | None]


class Emitter:
    """Calls listeners on the event loop, in the order in which they were added."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = {}
        self._running: set[asyncio.Future[None]] = set()

    def on(self, name: str, listener: Listener) -> None:
        """`name` "*" hears everything."""
        self._listeners.setdefault(name, []).append(listener)

    def off(self, name: str, listener: Listener) -> None:
        if listener in self._listeners.get(name, ()):
            self._listeners[name].remove(listener)

    def emit(self, name: str, **detail: object) -> None:
        event = Event(name, detail)
        for listener in [*self._listeners.get(name, ()), *self._listeners.get("*", ())]:
            result = listener(event)
            if result is not None:
                future = asyncio.ensure_future(result)
                self._running.add(future)
                future.add_done_callback(self._on_done)

    def _on_done(self, future: "asyncio.Future[None]") -> None:
        self._running.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            logger.error("An event listener failed", exc_info=error)
