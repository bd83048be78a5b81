"""ICE candidates on a machine whose only network is the loopback interface.

The ICE library leaves loopback addresses out. They are added when there is nothing else, or
when the server itself is reached over loopback; other users of the library see no change.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from aioice import ice

LOOPBACK: Final = "127.0.0.1"
loopback_wanted: ContextVar[bool] = ContextVar("loopback_wanted", default=False)

HostAddresses = Callable[[bool, bool], list[str]]


def with_loopback(original: HostAddresses) -> HostAddresses:
    def get_host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        addresses = original(use_ipv4, use_ipv6)
        if LOOPBACK not in addresses and (loopback_wanted.get() or not addresses):
            addresses.append(LOOPBACK)
        return addresses

    return get_host_addresses


def install() -> None:
    """Idempotent."""
    if not getattr(ice, "sealroute_loopback", False):
        ice.get_host_addresses = with_loopback(ice.get_host_addresses)  # type: ignore[assignment]
        ice.sealroute_loopback = True  # type: ignore[attr-defined]
