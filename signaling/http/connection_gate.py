"""How many HTTP connections of strangers there may be at a time, counted before a byte is read.

A connection costs memory and a descriptor as soon as it is accepted, whether a request ever comes
or not; deadlines end it, but many can be opened in that time. Each has a place until a client is
admitted over it. Where the places run out, somebody who only waits gives way: first of the same
network, else of the one that has the most; and within a network of the part that has the most, so
that the neighbors of a flood (behind one carrier's NAT, in one /48) keep theirs. Whom the server
is working for gives way to no network that has as many: where more come than it can serve, those
who came first are served.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from config.settings import HttpSettings
from signaling.clock import Clock
from signaling.http.client_networks import (
    NetworkBuckets,
    Networks,
    client_networks,
    is_proxy,
    networks_of,
)
from signaling.http.crowd import Crowd
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

    __slots__ = ("_end", "_gate", "_path")

    def __init__(
        self, gate: "ConnectionGate", path: tuple[str, ...], end: Callable[[], None]
    ) -> None:
        self._gate, self._path, self._end = gate, path, end

    def ends_by(self, end: Callable[[], None]) -> None:
        """Another way to close it from now on."""
        self._end = end

    def wait(self) -> None:
        """The client's turn: the server has nothing to do for it."""
        self._gate.move(self._path, self, works=False)

    def work(self) -> None:
        """The server's turn."""
        self._gate.move(self._path, self, works=True)

    def leave(self) -> None:
        """The connection is closed, or its client was admitted."""
        self._gate.forget(self._path, self)

    def give_way(self) -> None:
        self.leave()
        self._end()


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
    crowd: Crowd[Place] = field(default_factory=Crowd)

    def __post_init__(self) -> None:
        self._proxies = networks_of(self.http.trusted_proxies)
        per_s = float(self.http.requests_per_s_of_network)
        self._rates = NetworkBuckets(per_s * BURST_S, per_s)
        self.beside.append(self)

    def __len__(self) -> int:
        return len(self.crowd)

    def take(self, remote: str | None, end: Callable[[], None]) -> Place | None:
        """A place for a new connection; None: it is closed at once, which is counted. Those of a
        trusted proxy, which brings many clients, are as many as it opens."""
        path = client_networks(remote, "", ())
        place = Place(self, path, end)
        if is_proxy(remote, self._proxies):
            return place
        refusal = self._refusal(path)
        if refusal is not None:
            self.count(refusal)
            return None
        self.crowd.add(path, place)
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

    def move(self, path: tuple[str, ...], place: Place, *, works: bool) -> None:
        """Notes whose turn it is; of a place that was left nothing."""
        if place in self.crowd:
            self.crowd.move(path, place, works=works)

    def forget(self, path: tuple[str, ...], place: Place) -> None:
        if place in self.crowd:
            self.crowd.remove(path, place)

    def _refusal(self, path: tuple[str, ...]) -> Ending | None:
        """Why there is no place for one more of these networks, even if others give way."""
        now_ms = int(self.clock.monotonic_s() * 1000)
        if self.http.requests_per_s_of_network and not self._rates.takes(path, now_ms):
            return Ending.NETWORK_RATE
        own = self.crowd.within(path[0])
        most_of_network = self.http.pending_connections_of_network
        if own is not None and most_of_network and len(own) >= most_of_network:
            return None if self._end(own.first_waiting()) else Ending.NETWORK_LIMIT
        if not self.http.pending_connections or len(self.crowd) < self.http.pending_connections:
            return None
        # A network that has the most itself takes no other network's place.
        if own is not None and len(own) == self.crowd.largest_size:
            return None if self._end(own.first_waiting()) else Ending.LIMIT
        return None if self._take_from_others(0 if own is None else len(own)) else Ending.LIMIT

    def _take_from_others(self, own: int) -> bool:
        """Whether somebody gives way to a network that has `own` places."""
        largest = self.crowd.largest()
        if largest is None:
            return False
        if self._end(largest.first_waiting()):
            return True
        if len(largest) > own + 1:
            return self._end(largest.first_working())
        return self._end(next(iter(self.crowd.waiting), None))

    def _end(self, place: Place | None) -> bool:
        """Whether there was somebody, who gives way."""
        if place is None:
            return False
        self.count(Ending.GAVE_WAY)
        place.give_way()
        return True
