"""How often an application hears of what a server does wrong.

A server that lies in a loop must neither fill the application's log nor keep it busy; the first
time of everything is told at once. Pure: time is a parameter.
"""

from typing import Final

AGAIN_S: Final = 10.0
"""The same is told once in so long."""
MAX_REPORTED: Final = 20
"""Different ones in so long: the words of some are the server's own."""


class Complaints:
    """Times are seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._reported_s: dict[str, float] = {}
        self._unreported: dict[str, int] = {}

    def take(self, words: str, now_s: float) -> int:
        """Occurrences since the last report, if a report is due now; else 0."""
        for old in [known for known, at_s in self._reported_s.items() if now_s >= at_s + AGAIN_S]:
            del self._reported_s[old]
        count = self._unreported.pop(words, 0) + 1
        if words not in self._reported_s and len(self._reported_s) < MAX_REPORTED:
            self._reported_s[words] = now_s
            return count
        if words in self._unreported or len(self._unreported) < MAX_REPORTED:
            self._unreported[words] = count
        return 0
