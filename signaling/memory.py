"""Gives memory that is free back to the machine.

After a crowd has left, the C library keeps what was freed, for it gives back only what lies at the
end of its heap: a flood of signals to clients that do not read left the process 15 % larger for
ever. `malloc_trim` (glibc) gives back the free pages in between. It takes about a millisecond for
10 MB, and is asked for only when many connections have gone since the last time.
"""

import ctypes
from collections.abc import Callable

STAYED = 0.9
"""What part of the connections may still be there when memory is given back."""

Trim = Callable[[], object]


class MemoryReturn:
    """`sample` is told of the live connections every few seconds."""

    def __init__(self, trim: Trim) -> None:
        self._trim = trim
        self._connections = 0
        self._most = 0
        """Since memory was given back last."""

    def sample(self, connections: int) -> None:
        """Trims when connections have gone, and no more of them went since the last sample: what
        goes in one rush is given back at once."""
        self._most = max(self._most, connections)
        has_settled = connections >= self._connections
        self._connections = connections
        if has_settled and connections < STAYED * self._most:
            self._most = connections
            self._trim()


def system_trim() -> Trim:
    """That of the C library; where it has none, one that does nothing."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return lambda: None
    trim.argtypes = [ctypes.c_size_t]
    return lambda: trim(0)
