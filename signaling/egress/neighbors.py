"""Whether other servers use the same database; pure.

Each of them changes a row of its own again and again. Clocks of two machines are not compared: what
counts is when a change was seen, by the clock of who saw it.
"""

from collections.abc import Mapping

ALIVE_S = 10.0
"""A server whose row did not change for so long is gone, as after a kill: five of its beats."""


class Neighbors:
    """`now_s`: any clock that does not go back."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, float]] = {}
        self._watching_since_s: float | None = None
        self._looked_s = 0.0

    def note(self, beats: Mapping[str, int], now_s: float) -> None:
        """`beats`: the rows of the others, as they are now."""
        if self._watching_since_s is None or now_s - self._looked_s > ALIVE_S:
            self._watching_since_s = now_s
        self._looked_s = now_s
        self._seen = {name: self._newer(name, beat, now_s) for name, beat in beats.items()}

    def _newer(self, name: str, beat: int, now_s: float) -> tuple[int, float]:
        known = self._seen.get(name)
        return known if known is not None and known[0] == beat else (beat, now_s)

    def may_live(self, now_s: float) -> bool:
        """False: there is none. Who has not watched for long enough does not know."""
        since_s = self._watching_since_s
        if since_s is None or now_s - since_s < ALIVE_S or now_s - self._looked_s > ALIVE_S:
            return True
        return any(now_s - seen_s <= ALIVE_S for _, seen_s in self._seen.values())
