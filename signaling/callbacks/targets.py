"""Where callbacks may go: public addresses, and the networks that the operator names.

A registered URL is chosen by a customer, and the server sits inside somebody's network: without
this check a customer could make it post to what only that network should reach. Names are
checked by the addresses they resolve to at each connection, so that a name cannot change its
mind after the check.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_LOOPBACK_NAME = "localhost"
_DENIED = tuple(
    ip_network(network)
    for network in (
        # Azure's wire server: metadata of the machine at an address that counts as public.
        "168.63.129.16/32",
        # RFC 7526: anycast of 6to4 relays.
        "192.88.99.0/24",
        # RFC 4291: IPv4-compatible addresses, with :: and ::1.
        "::/96",
        # RFC 2765: IPv4-translated addresses.
        "::ffff:0:0:0/96",
        # RFC 8215: translators inside a network, which may have any form.
        "64:ff9b:1::/48",
        # RFC 6666 and RFC 9780: discarded, and dummy addresses.
        "100::/64",
        "100:0:0:1::/64",
        # RFC 9602: segment routing.
        "5f00::/16",
        # RFC 3879: site-local addresses.
        "fec0::/10",
    )
)
"""Not public in effect, although some versions of Python's `is_global` say so."""
# RFC 6052: the last 32 bits are an IPv4 address behind a translator.
_TRANSLATED = IPv6Network("64:ff9b::/96")


class TargetRefused(OSError):  # noqa: N818 - one of the names of errors of the vocabulary
    """The address is not one that callbacks may go to."""


def networks(text: str) -> tuple[Network, ...]:
    """Networks with blanks between. Errors: `ValueError`."""
    return tuple(ip_network(part, strict=False) for part in text.split())


@dataclass(frozen=True, slots=True)
class TargetPolicy:
    """`allowed`: networks that are not public and may be reached all the same."""

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
        """Addresses written as such never meet a resolver. Errors: `TargetRefused`."""
        if host == _LOOPBACK_NAME or host.endswith("." + _LOOPBACK_NAME):
            # RFC 6761: these names mean this machine, whatever a resolver says.
            host = "127.0.0.1"
        try:
            ip_address(host.partition("%")[0])
        except ValueError:
            return
        if not self.permits(host):
            raise TargetRefused(host)


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo[1] if address.teredo is not None else None
    return address.ipv4_mapped or address.sixtofour or teredo or address


class GuardedResolver(AbstractResolver):
    """Resolves names to permitted addresses only. Errors: `TargetRefused` when there is none."""

    def __init__(self, policy: TargetPolicy, resolver: AbstractResolver | None = None) -> None:
        self._policy = policy
        self._resolver = resolver or DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found: Sequence[ResolveResult] = await self._resolver.resolve(host, port, family)
        permitted = [one for one in found if self._policy.permits(one["host"])]
        if found and not permitted:
            raise TargetRefused(host)
        return permitted

    async def close(self) -> None:
        await self._resolver.close()
