"""When the next 20 ms are due, and how a stream's packets are numbered; pure.

Slots are counted from the beginning of the host's monotonic clock. So a process that follows a dead
one goes on with the numbers that its packets would have had, and nothing is passed on.
"""

SLOT_US = 20_000
_SAMPLES = 960
_MAX_BEHIND = 25
"""Slots that are made up for at once, half a second; more are left out."""


class Pace:
    def __init__(self, now_us: int) -> None:
        self._next = now_us // SLOT_US + 1
        self.skipped = 0

    @property
    def due_us(self) -> int:
        return self._next * SLOT_US

    def slots(self, now_us: int) -> range:
        """The slots that are due, each given once."""
        last = now_us // SLOT_US
        behind = max(0, last - self._next + 1 - _MAX_BEHIND)
        self.skipped += behind
        first = self._next + behind
        self._next = max(self._next, last + 1)
        return range(first, last + 1)


def sequence_number(slot: int) -> int:
    return slot & 0xFFFF


def timestamp(slot: int) -> int:
    return slot * _SAMPLES & 0xFFFF_FFFF
