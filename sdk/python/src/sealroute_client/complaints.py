"""How often an application hears of what a server does wrong.

A server that lies in a loop must neither fill the application's log nor keep it busy; the first
time of everything is told at once. Pure: time is a parameter.
"""

from typing import Final

AGAIN_S: Final = 10.0
"""The same is told once in so long."""
MAX_TOLD: Final = 20
"""Different ones in so long: the words of some are the server's own."""


class Complaints:
    """Times are seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._told_s: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def take(self, words: str, now_s: float) -> int:
        """How often it happened since it was told last, if it is to be told now; else 0."""
        for old in [known for known, at_s in self._told_s.items() if now_s >= at_s + AGAIN_S]:
            del self._told_s[old]
        count = self._untold.pop(words, 0) + 1
        if words not in self._told_s and len(self._told_s) < MAX_TOLD:
            self._told_s[words] = now_s
            return count
        if words in self._untold or len(self._untold) < MAX_TOLD:
            self._untold[words] = count
        return 0
