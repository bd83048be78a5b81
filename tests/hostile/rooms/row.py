"""One row of what is told to the room, and of what people see then."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.hostile.lie import Lie
from tests.hostile.rooms.visit import Visit


@dataclass(frozen=True, slots=True)
class RoomRow:
    """`covers`: messages that the lie is told in, and `door`, the answer to who comes in; of none:
    an honest row. `act` plays it and says by AssertionError what people do not see. `is_short`:
    played for every change."""

    name: str
    does: str
    covers: tuple[str, ...]
    act: Callable[[Visit], Awaitable[None]]
    lie: Callable[[], Lie] = Lie
    is_short: bool = False
