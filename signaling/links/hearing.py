"""Which nodes are heard over links, of either direction, as membership wants to know it."""

from collections import Counter
from dataclasses import dataclass, field

from signaling.cluster.base import Cluster


@dataclass(slots=True)
class Hearing:
    """Tells the cluster of the first link with a node, and of the end of the last one."""

    cluster: Cluster
    _links: Counter[int] = field(default_factory=Counter)

    def up(self, incarnation: int) -> None:
        self._links[incarnation] += 1
        if self._links[incarnation] == 1:
            self.cluster.heard(incarnation)

    def down(self, incarnation: int) -> None:
        self._links[incarnation] -= 1
        if self._links[incarnation] <= 0:
            del self._links[incarnation]
            self.cluster.lost(incarnation, refused=False)

    def refused(self, incarnation: int) -> None:
        """Its port refuses connections."""
        if not self._links[incarnation]:
            del self._links[incarnation]
            self.cluster.lost(incarnation, refused=True)
