"""What the server tells of an own Publisher or Subscriber that has no name yet.

An answer and the messages behind it may arrive in one read; who asked goes on only after that. Such
messages wait until the object has its id, and only while an answer that could name it is due.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from sealroute_client.errors import SealrouteError, UnexpectedServerResponse

T = TypeVar("T")

MAX_EARLY: Final = 64
"""More than a server tells of what a client asks for at once. Beyond it the oldest are dropped."""


class Early(Generic[T]):
    """`T`: a Publisher or a Subscriber; `complain` is told what a late look finds wrong."""

    def __init__(self, complain: Callable[[SealrouteError], None]) -> None:
        self._complain = complain
        self._kept: deque[tuple[str, Callable[[T], None]]] = deque(maxlen=MAX_EARLY)
        self._awaited = 0

    @contextmanager
    def awaiting(self) -> Iterator[None]:
        """An answer is due that names an object. It is known when the block ends."""
        self._awaited += 1
        try:
            yield
        finally:
            self._awaited -= 1
            if not self._awaited:
                self._kept.clear()

    def keep(self, object_id: str, act: Callable[[T], None]) -> None:
        if self._awaited:
            self._kept.append((object_id, act))

    def take(self, object_id: str, known: T) -> None:
        """The object of that id is known: what was told of it happens now, in its order."""
        for about, act in list(self._kept):
            if about == object_id:
                try:
                    act(known)
                except UnexpectedServerResponse as error:
                    self._complain(error)
