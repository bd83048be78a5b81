"""Requests about live sessions, at whichever node they come: where they are answered.

What is in the store is answered anywhere. What touches a live session is answered at the session's
home: the gate has checked the caller and the body, and passes the request on as it came; the home
checks both again. A request is passed on once: a home that is none any more refuses it, and the
gate asks again where the session lives.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from aiohttp import web

from signaling.clock import Clock
from signaling.cluster.base import Cluster
from signaling.cluster.engine import Home
from signaling.domain.errors import ErrorCode, error
from signaling.domain.session_options import SessionRecord
from signaling.links.link import Count
from signaling.links.links import LEFT_OUT, Forwarded, HomeAnswer, Links
from signaling.links.refusals import LinkRefusal
from signaling.metrics import Metrics

HOLD_S = 5.0
"""How long a request waits for a home that can be reached: a node that dies is declared dead within
4 s. Only what no home has seen is asked again."""
RETRY_S = 0.1
_AWAY: Final = ErrorCode.HOME_AWAY.value.encode()


LIST_S = 3.0
"""How long another node may take to say which sessions are there."""


@dataclass(frozen=True, slots=True)
class Other:
    """Another node, and how it is asked for what is there alone. Errors of `ask`: `home_away`."""

    name: str
    ask: Callable[[Forwarded], Awaitable[HomeAnswer | None]]


class Homeward(Protocol):
    async def answer(
        self, record: SessionRecord, request: Forwarded, *, begins: bool
    ) -> HomeAnswer | None:
        """The answer of the session's home; None: it is here, or nowhere. With `begins` it is here
        then from now on: the request brings somebody into the session. Errors: `home_away`,
        `session_limit`, `storage_unavailable`."""

    def others(self) -> Sequence[Other]:
        """Whom to ask for what is at all nodes."""


@dataclass(frozen=True, slots=True)
class PassedOn:
    """Implements `Homeward` at a gate."""

    cluster: Cluster
    links: Links
    clock: Clock
    metrics: Metrics
    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)

    async def answer(
        self, record: SessionRecord, request: Forwarded, *, begins: bool
    ) -> HomeAnswer | None:
        until_s = self.clock.monotonic_s() + HOLD_S
        while True:
            home = await self._home(record, begins=begins)
            if home is None or home.incarnation == self.cluster.me:
                return None
            answer = await self.links.forward(home.incarnation, request)
            if answer is not None and not _is_away(answer):
                self.metrics.forwarded.labels("ok").inc()
                return answer
            self.cluster.forget(record.session_id)
            if self.clock.monotonic_s() >= until_s:
                self.metrics.forwarded.labels("home_away").inc()
                raise error(ErrorCode.HOME_AWAY)
            await self.sleep(RETRY_S)

    async def _home(self, record: SessionRecord, *, begins: bool) -> Home | None:
        if begins:
            return await self.cluster.home(record.session_id, record.project_id)
        return await self.cluster.find(record.session_id)

    def others(self) -> Sequence[Other]:
        return [
            Other(row.name, partial(self.links.forward, row.incarnation))
            for row in self.cluster.nodes()
            if row.incarnation != self.cluster.me
        ]


@dataclass(frozen=True, slots=True)
class Arrived:
    """Implements `Homeward` for requests that another node passed on: they go no further."""

    cluster: Cluster
    count: Count

    async def answer(
        self, record: SessionRecord, request: Forwarded, *, begins: bool
    ) -> HomeAnswer | None:
        del request, begins
        if self.cluster.held(record.session_id) is None:
            self.count(LinkRefusal.FORWARDED)
            raise error(ErrorCode.HOME_AWAY)
        return None

    def others(self) -> Sequence[Other]:
        return ()


def forwarded_of(request: web.Request, body: bytes) -> Forwarded:
    """The request as the home is to get it."""
    headers = {name: text for name, text in request.headers.items() if name.lower() not in LEFT_OUT}
    return Forwarded(request.method, request.rel_url.raw_path_qs, headers, body)


def header_of(headers: Mapping[str, str] | tuple[tuple[str, str], ...], name: str) -> str:
    found = headers.items() if isinstance(headers, Mapping) else headers
    return next((text for key, text in found if key.lower() == name.lower()), "")


def _is_away(answer: HomeAnswer) -> bool:
    return answer.status == 503 and _AWAY in answer.body
