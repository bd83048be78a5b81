"""Keeps the collector's pauses short, and returns free memory to the system.

A full collection looks at every object while nothing else runs, and nearly all of them are modules,
classes and tables that start-up made: 60 ms on a slow machine, whenever a client causes one, which
a member that floods the server with pings can do every second. What is there once the server
listens stays until its end, so the collector need not look at it again.

After many clients have left, the C library keeps the freed memory, because it returns only the end
of its heap: a flood of signals to clients that do not read left the process permanently 15 %
larger. `malloc_trim` (glibc) returns the free pages in between. It takes about a millisecond per
10 MB, so it is called only after many connections have ended.
"""

import ctypes
import gc
from collections.abc import Callable

STAYED = 0.9
"""Memory is returned when fewer than this fraction of the connections remain."""

Trim = Callable[[], object]


def keep_for_good() -> None:
    """Takes what is there out of every later collection. For the end of start-up."""
    gc.collect()
    gc.freeze()


class MemoryReturn:
    """`sample` takes the number of connections every few seconds."""

    def __init__(self, trim: Trim) -> None:
        self._trim = trim
        self._connections = 0
        self._most = 0
        """The most connections since memory was last returned."""

    def sample(self, connections: int) -> None:
        """Trims after connections have ended, but only when none ended since the last sample, so
        that one trim returns the memory of all."""
        self._most = max(self._most, connections)
        has_settled = connections >= self._connections
        self._connections = connections
        if has_settled and connections < STAYED * self._most:
            self._most = connections
            self._trim()


def system_trim() -> Trim:
    """The C library's `malloc_trim`; on other systems a function that does nothing."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return lambda: None
    trim.argtypes = [ctypes.c_size_t]
    return lambda: trim(0)
