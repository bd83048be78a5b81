"""TCP connections to addresses that an application named, checked when they are made.

The rule is that of callbacks. A name is resolved here and its addresses are connected as such, so
that it cannot mean another address after the check; nothing follows redirects or asks a proxy.
"""

import asyncio
import socket
from contextlib import suppress

from aiohttp.abc import AbstractResolver

from sfu.target_policy import TargetPolicy, TargetRefused
from signaling.callbacks.names import Names
from signaling.callbacks.targets import GuardedResolver
from signaling.domain.errors import ErrorCode, error

LOOKUPS = 16
"""At a time: names that nobody answers for must not take the threads of other lookups."""


class Dialer:
    def __init__(self, policy: TargetPolicy, resolver: AbstractResolver | None = None) -> None:
        self._policy = policy
        self._resolver = GuardedResolver(policy, resolver or Names(LOOKUPS))

    async def addresses(self, host: str, port: int) -> list[tuple[str, int]]:
        """Where a host may be reached. Errors: `TargetRefused`; `OSError` for an unknown name."""
        self._policy.check_host(host)
        found = await self._resolver.resolve(host, port, socket.AF_UNSPEC)
        return [(one["host"], one["port"]) for one in found]

    async def dial(self, host: str, port: int) -> socket.socket:
        """A connected socket; the caller closes it. Errors: `OSError`."""
        failure: OSError = OSError("no address")
        for address, at_port in await self.addresses(host, port):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            connection = socket.socket(family, socket.SOCK_STREAM)
            connection.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(connection, (address, at_port))
                self._check_peer(connection)
            except OSError as cause:
                connection.close()
                failure = cause
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise failure

    def _check_peer(self, connection: socket.socket) -> None:
        """What it is connected to is what counts. Errors: `TargetRefused`."""
        with suppress(OSError):
            host = connection.getpeername()[0]
            if self._policy.permits(host):
                return
        raise TargetRefused("the peer")


async def check_address(
    dialer: Dialer, host: str, port: int, within_s: float, unreachable: str | None = None
) -> None:
    """Whether a host may be reached, as the caller of a route reads it. `unreachable`: the text
    for a name that is not known. Errors: `address_refused`, `connect_failed`."""
    try:
        async with asyncio.timeout(within_s):
            await dialer.addresses(host, port)
    except TargetRefused:
        raise error(ErrorCode.ADDRESS_REFUSED) from None
    except OSError:  # an unknown name, and a time-out
        raise error(ErrorCode.CONNECT_FAILED, unreachable) from None
