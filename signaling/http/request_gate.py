"""How many HTTP requests one connection and one network may make, charged before they are routed.

Most requests of strangers cost little, but without a limit one connection makes thousands of them a
second. A refusal comes late, because a connection for each costs the server as much as an answer
does. Health checks have turns of their own: what their network asks beside must not end them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from aiohttp import web

from config.settings import HttpSettings
from signaling.clock import Clock
from signaling.domain.errors import DomainError, ErrorCode, Refused
from signaling.domain.session_state import Bucket
from signaling.http.client_networks import (
    NetworkBuckets,
    Networks,
    client_networks,
    is_client_of_proxy,
    is_proxy,
    networks_of,
)

BURST_S = 10.0
"""A rate's burst is what it gives in this time: a server that starts asks for much at once."""
HEALTH_PATHS = frozenset({"/healthz", "/readyz"})
HEALTH_PER_S = 100.0
RETRY_AFTER_S = 1
MAX_WAITING = 1_024
"""Refusals that are held back at a time; beyond them a connection ends without an answer."""


class Limit(StrEnum):
    """Which one a request is beyond: the metric's label and what its sender is told."""

    CONNECTION = "connection"
    NETWORK = "network"
    HEALTH = "health"


_WORDS: Final = {
    Limit.CONNECTION: "Too many requests on one connection.",
    Limit.NETWORK: "Too many requests from your network.",
    Limit.HEALTH: "Too many health checks from your network.",
}


@dataclass(slots=True)
class RequestGate:
    """Of one listener. `refusal` is asked once for each request, and `hold` for each refusal."""

    http: HttpSettings
    clock: Clock
    count: Callable[[str], None]
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep
    _waiting: int = 0
    _proxies: Networks = field(init=False)
    _networks: NetworkBuckets = field(init=False)
    _health: NetworkBuckets = field(init=False)

    def __post_init__(self) -> None:
        self._proxies = networks_of(self.http.trusted_proxies)
        per_s = float(self.http.requests_per_s_of_network)
        self._networks = NetworkBuckets(per_s * BURST_S, per_s)
        self._health = NetworkBuckets(HEALTH_PER_S * BURST_S, HEALTH_PER_S)

    def refusal(self, request: web.BaseRequest, own: Bucket | None) -> DomainError | None:
        """Why a request is not taken, which is counted; `own` is its connection's bucket."""
        limit = self._limit(request, own)
        if limit is None:
            return None
        self.count(limit)
        return Refused(ErrorCode.RATE_LIMITED, f"{_WORDS[limit]} Try again in a second.")

    def _limit(self, request: web.BaseRequest, own: Bucket | None) -> Limit | None:
        now_ms = self._now_ms()
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ()))
        networks = client_networks(request.remote, forwarded, self._proxies)
        if request.rel_url.raw_path in HEALTH_PATHS:
            return None if self._health.takes(networks, now_ms) else Limit.HEALTH
        per_s = float(self.http.requests_per_s_of_connection)
        if own is not None and not own.takes(now_ms, per_s, per_s * BURST_S):
            return Limit.CONNECTION
        if not self.http.requests_per_s_of_network or is_client_of_proxy(networks, self._proxies):
            return None
        return None if self._networks.takes(networks, now_ms) else Limit.NETWORK

    async def hold(self) -> bool:
        """Returns when a refusal may be answered; False: it is not worth an answer."""
        if self._waiting >= MAX_WAITING:
            return False
        self._waiting += 1
        try:
            await self.wait(RETRY_AFTER_S)
        finally:
            self._waiting -= 1
        return True

    def bucket(self, remote: str | None) -> Bucket | None:
        """For a new connection; a trusted proxy brings many clients over one."""
        per_s = float(self.http.requests_per_s_of_connection)
        if not per_s or is_proxy(remote, self._proxies):
            return None
        return Bucket(per_s * BURST_S, self._now_ms())

    def _now_ms(self) -> int:
        return int(self.clock.monotonic_s() * 1000)
