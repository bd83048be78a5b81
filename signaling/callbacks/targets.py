"""Resolves the names of callbacks' receivers to addresses that callbacks may go to.

Names are checked by the addresses they resolve to at each connection, so that a name cannot resolve
to another address after the check (DNS rebinding).
"""

import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult

from sfu.target_policy import TargetPolicy, TargetRefused


class GuardedResolver(AbstractResolver):
    """Resolves names to permitted addresses only. Errors: `TargetRefused` if there are none."""

    def __init__(self, policy: TargetPolicy, resolver: AbstractResolver) -> None:
        self._policy = policy
        self._resolver = resolver

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
