"""From which network a request comes: what limits for strangers go by.

One stranger has a whole /64 of IPv6 addresses, and neighbors in a /24 of IPv4 are often one too.
Many have a /56 or a /48, of 256 and 65,536 such networks: those have limits of their own.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache

from config.load import ConfigurationError
from signaling.domain.session_state import Bucket

LEVELS = {4: (24, 32), 6: (48, 56, 64)}
"""Lengths of prefixes, the largest networks first, for fairness."""
LIMITED = {24: 1.0, 64: 1.0, 56: 2.0, 48: 4.0}
"""Those with a rate, in rates of one network. An IPv4 address has none: whole carriers are behind
some."""
MAX_ADDRESS_CHARS = 128
"""The longest address has 45, and may name an interface."""
MAX_NETWORKS = 10_000
"""Known at a time for each length; the one that was quiet longest is forgotten."""
Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def networks_of(words: str) -> Networks:
    """Errors: `ConfigurationError`."""
    try:
        return tuple(ipaddress.ip_network(word) for word in words.split())
    except ValueError as cause:
        raise ConfigurationError(
            "[http] trusted_proxies: networks with blanks between, such as 10.0.0.0/8"
        ) from cause


def client_networks(remote: str | None, forwarded: str, proxies: Networks) -> tuple[str, ...]:
    """The client's networks, the largest first. `forwarded` is the `X-Forwarded-For` field. A
    trusted proxy appends to it, so it is read from its end, as far as trusted proxies have written
    it. An entry that is no address ends that: anybody may have written what stands before it."""
    address = _address(remote or "")
    for word in reversed(forwarded.split(",")):
        if address is None or not any(address in network for network in proxies):
            break
        written = _address(_without_port(word.strip()))
        if written is None:
            break
        address = written
    if address is None:
        return ("",)
    return _around(address)


@lru_cache(4_096)
def _around(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> tuple[str, ...]:
    return tuple(
        str(ipaddress.ip_network((address, length), strict=False))
        for length in LEVELS[address.version]
    )


def is_client_of_proxy(networks: tuple[str, ...], proxies: Networks) -> bool:
    """Whether the address is one of our proxies' own: it has told of no client (one that passes
    TCP on cannot), so all of its clients have it."""
    ours = ipaddress.ip_network(networks[-1]) if proxies and networks[-1] else None
    return ours is not None and any(
        ours.version == proxy.version and ours.network_address in proxy for proxy in proxies
    )


def is_proxy(remote: str | None, proxies: Networks) -> bool:
    """Whether a connection is one of our proxies'."""
    address = _address(remote or "") if proxies else None
    return address is not None and any(address in network for network in proxies)


def _without_port(word: str) -> str:
    """Some proxies write `192.0.2.7:4711`, `[2001:db8::1]:4711` or `[2001:db8::1]`."""
    if word.startswith("["):
        return word[1:].partition("]")[0]
    return word.partition(":")[0] if word.count(":") == 1 else word


def _address(word: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    # Anybody may write longer words, which must not fill the memory.
    return _parsed(word) if len(word) <= MAX_ADDRESS_CHARS else None


@lru_cache(4_096)
def _parsed(word: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(word.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


@dataclass(slots=True)
class NetworkBuckets:
    """A bucket for each network, and larger ones for the networks around it."""

    burst: float
    per_s: float
    _known: dict[int, OrderedDict[str, Bucket]] = field(default_factory=dict)

    def takes(self, networks: tuple[str, ...], now_ms: int) -> bool:
        """Whether all of them have a turn left, which is taken then."""
        limited = [
            (self._bucket(name, length, times, now_ms), times)
            for name in networks
            if (times := LIMITED.get(length := length_of(name)))
        ]
        for bucket, times in limited:
            bucket.fill(now_ms, self.per_s * times, self.burst * times)
        if any(bucket.tokens < 1.0 for bucket, _ in limited):
            return False
        for bucket, _ in limited:
            bucket.tokens -= 1.0
        return True

    def _bucket(self, name: str, length: int, times: float, now_ms: int) -> Bucket:
        known = self._known.setdefault(length, OrderedDict())
        bucket = known.get(name)
        if bucket is None:
            if len(known) >= MAX_NETWORKS:
                known.popitem(last=False)
            bucket = known[name] = Bucket(self.burst * times, now_ms)
        known.move_to_end(name)
        return bucket

    def __len__(self) -> int:
        return sum(len(known) for known in self._known.values())


def length_of(network: str) -> int:
    """The length of a network's prefix. A client without an address (a local socket) counts as a
    network."""
    return int(network.partition("/")[2] or LEVELS[6][-1])
