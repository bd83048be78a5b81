"""When something that runs beside a session ends by itself: after its time, or without clients."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from signaling.clock import Clock
from signaling.sessions.client_slot import Timer
from signaling.sessions.context import Schedule

Event = TypeVar("Event")


@dataclass(frozen=True, slots=True)
class Ends(Generic[Event]):
    """The events of the ends, and what comes before each of them in seconds."""

    max_s: float
    at_maximum: Event
    empty_s: float
    when_empty: Event


class Lifespan(Generic[Event]):
    """`handle` gets the event of the end that came first."""

    def __init__(
        self, ends: Ends[Event], clock: Clock, schedule: Schedule, handle: Callable[[Event], None]
    ) -> None:
        self._ends = ends
        self._clock = clock
        self._schedule = schedule
        self._handle = handle
        self._began_s = clock.monotonic_s()
        self._empty_since_s: float | None = None
        self._timer: Timer | None = None

    def begin(self) -> None:
        self._set_timer()

    def note_presence(self, *, is_empty: bool) -> None:
        """Whether nobody is connected now."""
        if is_empty is (self._empty_since_s is None):
            self._empty_since_s = self._clock.monotonic_s() if is_empty else None
            self._set_timer()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self.end()
        ends = self._ends
        due = [(self._began_s + ends.max_s, ends.at_maximum)]
        if self._empty_since_s is not None:
            due.append((self._empty_since_s + ends.empty_s, ends.when_empty))
        due_s, event = min(due, key=lambda one: one[0])
        wait_s = max(0.0, due_s - self._clock.monotonic_s())
        self._timer = self._schedule(wait_s, lambda: self._handle(event))
