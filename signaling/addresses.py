"""The addresses of this machine, in the order in which clients should try them."""

import ipaddress
from collections.abc import Collection, Iterable
from pathlib import Path

import ifaddr

from config.load import ConfigurationError


def public_addresses(configured: str, bound: str) -> tuple[str, ...]:
    """Addresses to advertise: the configured ones, otherwise the one that the media socket is bound
    to, otherwise every local one with loopback last. A socket bound to `::` accepts both families,
    one bound to 0.0.0.0 only IPv4.

    Errors: `ConfigurationError` when one of them is not an IP address.
    """
    names = configured.replace(",", " ").split()
    if names:
        return tuple(_checked(name) for name in names)
    host = _parsed("media host", bound)
    if not host.is_unspecified:
        return (bound,)
    ips = [ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    found = {str(ip.ip): None for ip in ips if ip.is_IPv4}
    if host.version == 6:
        passing = short_lived(_read_if_inet6())
        found |= dict.fromkeys(lasting((_ipv6_of(ip) for ip in ips if ip.is_IPv6), passing))
    found.setdefault("127.0.0.1", None)
    return tuple(sorted(found, key=_preference))


def lasting(addresses: Iterable[str], passing: Collection[str]) -> list[str]:
    """The IPv6 addresses that remote clients can reach for the duration of a call: not loopback,
    not link-local, and not in `passing`."""
    parsed = [ipaddress.IPv6Address(name) for name in addresses]
    return [
        str(one)
        for one in parsed
        if not (one.is_loopback or one.is_link_local or one.is_multicast or one.ipv4_mapped)
        and str(one) not in passing
    ]


def short_lived(table: str) -> frozenset[str]:
    """The temporary (RFC 8981), deprecated, tentative and duplicate addresses in the kernel's table
    of IPv6 addresses (/proc/net/if_inet6)."""
    found = set()
    for row in table.splitlines():
        digits, _, _, _, flags, *_ = row.split()
        if int(flags, 16) & _PASSING_FLAGS:
            found.add(str(ipaddress.IPv6Address(int(digits, 16))))
    return frozenset(found)


_PASSING_FLAGS = 0x01 | 0x08 | 0x20 | 0x40
"""IFA_F_TEMPORARY, _DADFAILED, _DEPRECATED, _TENTATIVE (linux/if_addr.h)."""


def _read_if_inet6() -> str:
    """The table; empty on systems without it, where no address is known to be short-lived."""
    try:
        return Path("/proc/net/if_inet6").read_text()
    except OSError:
        return ""


def _ipv6_of(ip: ifaddr.IP) -> str:
    """The address; ifaddr gives address, flow and scope."""
    return str(ip.ip[0])


ONLY_LOOPBACK = (
    "Firefox and clients on other machines cannot send media to a loopback address: set"
    " --public-ip (SEALROUTE_PUBLIC_IP) to an address of this machine in its network"
)


def only_loopback(addresses: Iterable[str]) -> bool:
    """Whether only Chromium on this machine can send media here."""
    return all(ipaddress.ip_address(address).is_loopback for address in addresses)


def _checked(name: str) -> str:
    address = _parsed("public ip", name)
    if address.is_unspecified or address.is_multicast:
        raise ConfigurationError(f"public ip: clients cannot reach {name}")
    return str(address)


def _parsed(knob: str, name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(name)
    except ValueError as cause:
        raise ConfigurationError(f"{knob}: {name!r} is not an IP address") from cause


def _preference(name: str) -> tuple[bool, bool, str]:
    address = ipaddress.ip_address(name)
    return address.is_loopback, address.is_link_local, name
