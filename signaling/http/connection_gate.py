"""How many HTTP connections of strangers there may be at a time, counted before a byte is read.

A connection costs memory and a descriptor as soon as it is accepted, whether a request ever comes
or not; deadlines end it, but many can be opened in that time. Each has a place until a client is
admitted over it. Where the places run out, somebody who only waits gives way: first of the same
network, else of the one that has the most. Whom the server is working for gives way to no network
that has as many: where more come than it can serve, those who came first are served.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from config.settings import HttpSettings
from signaling.clock import Clock
from signaling.http.client_networks import (
    NetworkBuckets,
    Networks,
    client_network,
    is_proxy,
    networks_of,
)
from signaling.http.request_gate import BURST_S

ROOM = 32
"""How many give way together where descriptors are short: one at a time would let a flood that
waits in front of the others keep its pace."""


class Ending(StrEnum):
    """Why a connection ended that the client had not ended: the metric's label."""

    NETWORK_RATE = "network_rate"
    NETWORK_LIMIT = "network_limit"
    LIMIT = "limit"
    GAVE_WAY = "gave_way"
    NO_DESCRIPTORS = "no_descriptors"
    TLS_FAILED = "tls_failed"
    HEAD_TIMEOUT = "head_timeout"
    ANSWER_TIMEOUT = "answer_timeout"


class Place:
    """Of one connection. `end` closes it, and is not called after `leave`."""

    __slots__ = ("_end", "_gate", "_network")

    def __init__(self, gate: "ConnectionGate", network: str, end: Callable[[], None]) -> None:
        self._gate, self._network, self._end = gate, network, end

    def ends_by(self, end: Callable[[], None]) -> None:
        """Another way to close it from now on."""
        self._end = end

    def wait(self) -> None:
        """The client's turn: the server has nothing to do for it."""
        self._gate.move(self._network, self, works=False)

    def work(self) -> None:
        """The server's turn."""
        self._gate.move(self._network, self, works=True)

    def leave(self) -> None:
        """The connection is closed, or its client was admitted."""
        self._gate.forget(self._network, self)

    def give_way(self) -> None:
        self.leave()
        self._end()


@dataclass(slots=True)
class _Network:
    """The places of one network, those that came to wait or to work first in front."""

    waiting: OrderedDict[Place, None] = field(default_factory=OrderedDict)
    working: OrderedDict[Place, None] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self.waiting) + len(self.working)

    def __contains__(self, place: Place) -> bool:
        return place in self.waiting or place in self.working

    def leave(self, place: Place) -> None:
        self.waiting.pop(place, None)
        self.working.pop(place, None)


@dataclass(slots=True, eq=False)
class ConnectionGate:
    """Of one listener. `beside`: the gates of all listeners of the process, which have their
    descriptors in common; this one enters itself."""

    http: HttpSettings
    clock: Clock
    count: Callable[[Ending], None]
    beside: list["ConnectionGate"] = field(default_factory=list)
    _proxies: Networks = field(init=False)
    _rates: NetworkBuckets = field(init=False)
    _networks: dict[str, _Network] = field(default_factory=dict)
    _by_size: dict[int, OrderedDict[str, None]] = field(default_factory=dict)
    _waiting: OrderedDict[Place, None] = field(default_factory=OrderedDict)
    _largest: int = 0
    _taken: int = 0

    def __post_init__(self) -> None:
        self._proxies = networks_of(self.http.trusted_proxies)
        per_s = float(self.http.requests_per_s_of_network)
        self._rates = NetworkBuckets(per_s * BURST_S, per_s)
        self.beside.append(self)

    def __len__(self) -> int:
        return self._taken

    def take(self, remote: str | None, end: Callable[[], None]) -> Place | None:
        """A place for a new connection; None: it is closed at once, which is counted. Those of a
        trusted proxy, which brings many clients, are as many as it opens."""
        network = client_network(remote, "", ())
        place = Place(self, network, end)
        if is_proxy(remote, self._proxies):
            return place
        refusal = self._refusal(network)
        if refusal is not None:
            self.count(refusal)
            return None
        self._networks.setdefault(network, _Network()).waiting[place] = None
        self._waiting[place] = None
        self._resize(network, 1)
        return place

    def make_room(self) -> bool:
        """The system has no descriptor for another one. False: nobody gives way."""
        self.count(Ending.NO_DESCRIPTORS)
        fullest = max(self.beside, key=len)
        ended = 0
        while ended < ROOM and fullest.end_one():
            ended += 1
        return ended > 0

    def end_one(self) -> bool:
        """Whether somebody gave way."""
        return self._take_from_others(0)

    def move(self, network: str, place: Place, *, works: bool) -> None:
        """Notes whose turn it is; of a place that was left nothing."""
        known = self._networks.get(network)
        if known is None or place not in known:
            return
        known.leave(place)
        turn = known.working if works else known.waiting
        turn[place] = None
        self._waiting.pop(place, None)
        if not works:
            self._waiting[place] = None

    def forget(self, network: str, place: Place) -> None:
        known = self._networks.get(network)
        if known is None or place not in known:
            return
        known.leave(place)
        self._waiting.pop(place, None)
        self._resize(network, -1)

    def _refusal(self, network: str) -> Ending | None:
        """Why there is no place for one more of the network, even if others give way."""
        now_ms = int(self.clock.monotonic_s() * 1000)
        if self.http.requests_per_s_of_network and not self._rates.takes(network, now_ms):
            return Ending.NETWORK_RATE
        own = self._networks.get(network)
        most_of_network = self.http.pending_connections_of_network
        if own is not None and most_of_network and len(own) >= most_of_network:
            return None if self._end_first(own.waiting) else Ending.NETWORK_LIMIT
        if not self.http.pending_connections or self._taken < self.http.pending_connections:
            return None
        # A network that has the most itself takes no other network's place.
        if own is not None and len(own) == self._largest:
            return None if self._end_first(own.waiting) else Ending.LIMIT
        return None if self._take_from_others(0 if own is None else len(own)) else Ending.LIMIT

    def _take_from_others(self, own: int) -> bool:
        """Whether somebody gives way to a network that has `own` places."""
        if not self._largest:
            return False
        largest = self._networks[next(iter(self._by_size[self._largest]))]
        if self._end_first(largest.waiting):
            return True
        if self._largest > own + 1:
            return self._end_first(largest.working)
        return self._end_first(self._waiting)

    def _end_first(self, places: OrderedDict[Place, None]) -> bool:
        if not places:
            return False
        self.count(Ending.GAVE_WAY)
        next(iter(places)).give_way()
        return True

    def _resize(self, network: str, change: int) -> None:
        """Keeps the networks by size, after one of them has changed by one place."""
        self._taken += change
        after = len(self._networks[network])
        before = after - change
        if before:
            del self._by_size[before][network]
            if not self._by_size[before]:
                del self._by_size[before]
        if after:
            self._by_size.setdefault(after, OrderedDict())[network] = None
        else:
            del self._networks[network]
        if after > self._largest or self._largest not in self._by_size:
            self._largest = after
