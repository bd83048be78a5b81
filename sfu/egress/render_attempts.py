"""How often a browser, or the process that runs it, may fail before its render does; pure."""

FRESH_BROWSERS = 2
"""After the first one: so many that do not begin to capture are a fault of something else."""
STEADY_S = 60.0
"""A browser that published this long has its own crash."""


class Attempts:
    """`now_s`: any clock that does not go back."""

    def __init__(self) -> None:
        self._failed = 0
        self._crashes = 0
        self._published_s: float | None = None

    def failed(self) -> bool:
        """A browser did not begin. Whether another one may."""
        self._failed += 1
        return self._failed <= FRESH_BROWSERS

    def published(self, now_s: float) -> None:
        self._failed = 0
        self._published_s = now_s

    def crashed(self, now_s: float) -> bool:
        """One that published is gone. Whether another one may."""
        steady = self._published_s is not None and now_s - self._published_s >= STEADY_S
        self._crashes = 1 if steady else self._crashes + 1
        return self._crashes < 2
