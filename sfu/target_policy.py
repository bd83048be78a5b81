"""Which addresses the server may connect to because an application says so: public ones, and the
networks that the operator names; pure.

An application chooses the URL of a callback or the target of a broadcast, and the server is inside
somebody's network: without this check a customer could make it speak to hosts that only that
network should reach (SSRF).
"""

from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_LOOPBACK_NAME = "localhost"
_DENIED = tuple(
    ip_network(network)
    for network in (
        # Azure's wire server: machine metadata at an address that counts as public.
        "168.63.129.16/32",
        # RFC 7526: anycast of 6to4 relays.
        "192.88.99.0/24",
        # RFC 4291: IPv4-compatible addresses, with :: and ::1.
        "::/96",
        # RFC 2765: IPv4-translated addresses.
        "::ffff:0:0:0/96",
        # RFC 8215: local-use translators, with any address format.
        "64:ff9b:1::/48",
        # RFC 6666 and RFC 9780: discard-only and dummy addresses.
        "100::/64",
        "100:0:0:1::/64",
        # RFC 9602: segment routing.
        "5f00::/16",
        # RFC 3879: site-local addresses.
        "fec0::/10",
    )
)
"""Not public in effect, although `is_global` of some Python versions says so."""
# RFC 6052: the last 32 bits are the IPv4 address behind a translator.
_TRANSLATED = IPv6Network("64:ff9b::/96")


class TargetRefused(OSError):  # noqa: N818 - the error kinds are named like this
    """Nothing must be sent to this address."""


def networks(text: str) -> tuple[Network, ...]:
    """Space-separated networks. Errors: `ValueError`."""
    return tuple(ip_network(part, strict=False) for part in text.split())


@dataclass(frozen=True, slots=True)
class TargetPolicy:
    """`allowed`: non-public networks that may be reached nevertheless."""

    allowed: tuple[Network, ...] = ()

    def permits(self, text: str) -> bool:
        try:
            address = _inner(ip_address(text.partition("%")[0]))
        except ValueError:
            return False
        if any(address in network for network in self.allowed):
            return True
        if any(address in network for network in _DENIED):
            return False
        return address.is_global and not address.is_multicast

    def check_host(self, host: str) -> None:
        """Checks literal addresses, which the resolver never sees. Errors: `TargetRefused`."""
        if host == _LOOPBACK_NAME or host.endswith("." + _LOOPBACK_NAME):
            # RFC 6761: these names always mean this machine.
            host = "127.0.0.1"
        try:
            ip_address(host.partition("%")[0])
        except ValueError:
            return
        if not self.permits(host):
            raise TargetRefused(host)


def _inner(address: Address) -> Address:
    """The IPv4 address embedded in an IPv6 address, otherwise the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo[1] if address.teredo is not None else None
    return address.ipv4_mapped or address.sixtofour or teredo or address
