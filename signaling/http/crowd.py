"""Places of unknown clients in a tree of networks: how many each has, and which gives way first.

An attacker may have a whole /48 of IPv6: 65,536 networks with one connection each. Networks are
therefore counted within larger ones. When a connection has to give way, it is one of the largest
network, of the largest part within that, and so on down to single addresses.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Crowd(Generic[T]):
    """Of one network; `within` are the networks in it. Each step costs the depth of the tree and
    nothing that grows with the crowd."""

    __slots__ = ("_by_size", "_within", "largest_size", "waiting", "working")

    def __init__(self) -> None:
        self.waiting: OrderedDict[T, None] = OrderedDict()
        self.working: OrderedDict[T, None] = OrderedDict()
        """Those that came to wait or to work first in front."""
        self.largest_size = 0
        self._within: dict[str, Crowd[T]] = {}
        self._by_size: dict[int, OrderedDict[str, None]] = {}

    def __len__(self) -> int:
        return len(self.waiting) + len(self.working)

    def __contains__(self, place: T) -> bool:
        return place in self.waiting or place in self.working

    def within(self, name: str) -> "Crowd[T] | None":
        return self._within.get(name)

    def largest(self) -> "Crowd[T] | None":
        """The largest of the networks in this one; of several that which became so first."""
        if not self.largest_size:
            return None
        return self._within[next(iter(self._by_size[self.largest_size]))]

    def add(self, path: Sequence[str], place: T) -> None:
        """`path`: the names of the networks from here to the place's own. It waits."""
        self.waiting[place] = None
        if path:
            self._within.setdefault(path[0], Crowd()).add(path[1:], place)
            self._resize(path[0], 1)

    def remove(self, path: Sequence[str], place: T) -> None:
        """Of a place that is here."""
        self.waiting.pop(place, None)
        self.working.pop(place, None)
        if path:
            self._within[path[0]].remove(path[1:], place)
            self._resize(path[0], -1)

    def move(self, path: Sequence[str], place: T, *, works: bool) -> None:
        """Notes whose turn it is, for a place that is here: it is the last to have had it."""
        self.waiting.pop(place, None)
        self.working.pop(place, None)
        (self.working if works else self.waiting)[place] = None
        if path:
            self._within[path[0]].move(path[1:], place, works=works)

    def first_waiting(self) -> T | None:
        """Who of those that wait gives way: one of the largest network in which anybody does."""
        inner = self.largest()
        if inner is not None and inner.waiting:
            return inner.first_waiting()
        return next(iter(self.waiting), None)

    def first_working(self) -> T | None:
        inner = self.largest()
        if inner is not None and inner.working:
            return inner.first_working()
        return next(iter(self.working), None)

    def _resize(self, name: str, change: int) -> None:
        """Keeps the networks by size, after one of them has changed by one place."""
        after = len(self._within[name])
        before = after - change
        if before:
            del self._by_size[before][name]
            if not self._by_size[before]:
                del self._by_size[before]
        if after:
            self._by_size.setdefault(after, OrderedDict())[name] = None
        else:
            del self._within[name]
        if after > self.largest_size or self.largest_size not in self._by_size:
            self.largest_size = after
