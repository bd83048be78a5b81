"""When a job's process is started again, and when no more; pure."""

from collections import deque

LIMIT = 3
WINDOW_S = 60.0
"""What kills three processes in a minute also kills the fourth."""


class Deaths:
    """The deaths of one job's processes."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=LIMIT)

    def add(self, now: float) -> bool:
        """Whether another process starts."""
        self._times.append(now)
        return len(self._times) < LIMIT or now - self._times[0] > WINDOW_S
