"""Events that an object tells its listeners, by the names of the OpenTok SDKs."""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from sealroute_client.errors import InvalidParameter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """`name` is that of the OpenTok SDKs. Each kind of event is a class with its own fields."""

    name: ClassVar[str] = ""

    @property
    def detail(self) -> dict[str, Any]:
        """The fields under their names on the wire (camelCase), as the command line prints them."""
        return {
            camel_case(field.name): getattr(self, field.name) for field in dataclasses.fields(self)
        }


def camel_case(name: str) -> str:
    """A field's name on the wire."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


Listener = Callable[[Any], Awaitable[None] | None]
SomeEvent = TypeVar("SomeEvent", bound=Event)


class Emitter:
    """Calls listeners on the event loop, in the order in which they were added."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = {}
        self._running: set[asyncio.Future[None]] = set()

    def on(
        self,
        event: str | type[SomeEvent],
        listener: Callable[[SomeEvent], Awaitable[None] | None] | Listener,
    ) -> None:
        """`event` is a name or a class; "*" hears everything. Errors: InvalidParameter for a name
        that no event has."""
        name = _name(event)
        if name != "*" and name not in (known := _known_names()):
            raise InvalidParameter(
                f"No event has the name {name!r}; the names are {', '.join(known)}, and * for all"
            )
        self._listeners.setdefault(name, []).append(listener)

    def off(self, event: str | type[Event], listener: Listener) -> None:
        """Removes a listener of that event; unknown ones are ignored."""
        if listener in self._listeners.get(_name(event), ()):
            self._listeners[_name(event)].remove(listener)

    def emit(self, event: Event) -> None:
        """A listener that fails ends nothing but itself."""
        for listener in [*self._listeners.get(event.name, ()), *self._listeners.get("*", ())]:
            try:
                result = listener(event)
            except Exception:
                logger.exception("An event listener failed")
                continue
            if result is not None:
                future = asyncio.ensure_future(result)
                self._running.add(future)
                future.add_done_callback(self._on_done)

    def _on_done(self, future: "asyncio.Future[None]") -> None:
        self._running.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            logger.error("An event listener failed", exc_info=error)


def _known_names() -> list[str]:
    return sorted({kind.name for kind in Event.__subclasses__()})


def _name(event: str | type[Event]) -> str:
    return event if isinstance(event, str) else event.name
