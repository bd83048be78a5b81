"""The IPv4 addresses of this machine, in the order in which clients should try them."""

import ipaddress
from collections.abc import Iterable

import ifaddr

from config.load import ConfigurationError


def public_addresses(configured: str, bound: str) -> tuple[str, ...]:
    """Addresses to advertise: the configured ones, else the one that the media socket is bound
    to, else every local one with loopback last.

    Errors: `ConfigurationError` when one of them is no IP address.
    """
    names = configured.replace(",", " ").split()
    if names:
        return tuple(_checked(name) for name in names)
    if not _parsed("media host", bound).is_unspecified:
        return (bound,)
    found = {
        str(ip.ip): None for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4
    }
    found.setdefault("127.0.0.1", None)
    return tuple(sorted(found, key=_preference))


ONLY_LOOPBACK = (
    "Firefox does not connect to a loopback address, and nobody from another machine can: set"
    " --public-ip (SEALROUTE_PUBLIC_IP) to an address of this machine in its network"
)


def only_loopback(addresses: Iterable[str]) -> bool:
    """Whether no client but a Chromium on this machine can send its media here."""
    return all(ipaddress.ip_address(address).is_loopback for address in addresses)


def _checked(name: str) -> str:
    address = _parsed("public ip", name)
    if address.is_unspecified or address.is_multicast:
        raise ConfigurationError(f"public ip: clients can not reach {name}")
    return str(address)


def _parsed(knob: str, name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(name)
    except ValueError as cause:
        raise ConfigurationError(f"{knob}: {name!r} is not an IP address") from cause


def _preference(name: str) -> tuple[bool, bool, str]:
    address = ipaddress.ip_address(name)
    return address.is_loopback, address.is_link_local, name
