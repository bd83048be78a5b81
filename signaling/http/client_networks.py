"""From which network a request comes: what limits for strangers go by.

One stranger has a whole /64 of IPv6 addresses, and neighbors in a /24 of IPv4 are often one too.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field

from config.load import ConfigurationError
from signaling.domain.session_state import Bucket

IPV4_PREFIX, IPV6_PREFIX = 24, 64
MAX_NETWORKS = 10_000
"""Known at a time; the one that was quiet longest is forgotten."""
Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def networks_of(words: str) -> Networks:
    """Errors: `ConfigurationError`."""
    try:
        return tuple(ipaddress.ip_network(word) for word in words.split())
    except ValueError as cause:
        raise ConfigurationError(
            "[http] trusted_proxies: networks with blanks between, such as 10.0.0.0/8"
        ) from cause


def client_network(remote: str | None, forwarded: str, proxies: Networks) -> str:
    """The client's network. `forwarded` is the `X-Forwarded-For` field; a proxy of ours appends
    to it, so it is read from its end, as far as only our proxies have written it. An entry that is
    no address ends that: what is before it was written by somebody else."""
    address = _address(remote or "")
    for word in reversed(forwarded.split(",")):
        if address is None or not any(address in network for network in proxies):
            break
        written = _address(_without_port(word.strip()))
        if written is None:
            break
        address = written
    if address is None:
        return ""
    prefix = IPV4_PREFIX if address.version == 4 else IPV6_PREFIX
    return str(ipaddress.ip_network((address, prefix), strict=False))


def is_proxy(remote: str | None, proxies: Networks) -> bool:
    """Whether a connection is one of our proxies'."""
    address = _address(remote or "")
    return address is not None and any(address in network for network in proxies)


def _without_port(word: str) -> str:
    """Some proxies write `192.0.2.7:4711`, `[2001:db8::1]:4711` or `[2001:db8::1]`."""
    if word.startswith("["):
        return word[1:].partition("]")[0]
    return word.partition(":")[0] if word.count(":") == 1 else word


def _address(word: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(word.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


@dataclass(slots=True)
class NetworkBuckets:
    """A bucket for each network."""

    burst: float
    per_s: float
    _known: OrderedDict[str, Bucket] = field(default_factory=OrderedDict)

    def takes(self, network: str, now_ms: int) -> bool:
        bucket = self._known.get(network)
        if bucket is None:
            if len(self._known) >= MAX_NETWORKS:
                self._known.popitem(last=False)
            bucket = self._known[network] = Bucket(self.burst, now_ms)
        self._known.move_to_end(network)
        return bucket.takes(now_ms, self.per_s, self.burst)

    def __len__(self) -> int:
        return len(self._known)
