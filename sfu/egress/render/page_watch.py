"""When a page that is shown is at fault; pure.

Nobody looks at it: a page that hangs would be published as an image that never changes, and one
that goes elsewhere all the time as none.
"""

from collections import deque

NAVIGATIONS = 20
NAVIGATIONS_S = 10.0
"""So many within this time: a page that goes on every second is still shown."""


class PageWatch:
    """`hang_s`: how long a page may not answer, from its first answer on. `now_s`: any clock that
    does not go back."""

    def __init__(self, hang_s: float) -> None:
        self._hang_s = hang_s
        self._answered_s: float | None = None
        self._navigations: deque[float] = deque(maxlen=NAVIGATIONS)

    def answered(self, now_s: float) -> None:
        """Its script has run: it takes part."""
        self._answered_s = now_s

    def navigated(self, now_s: float) -> None:
        """Another document takes its place."""
        self._navigations.append(now_s)

    def fault(self, now_s: float) -> str:
        """Why it is not shown any longer, for the application; empty while it is."""
        if self._answered_s is not None and now_s - self._answered_s >= self._hang_s:
            return f"The page did not answer for {self._hang_s:g} s."
        whole = len(self._navigations) == NAVIGATIONS
        if whole and now_s - self._navigations[0] <= NAVIGATIONS_S:
            return "The page goes to another page again and again."
        return ""
