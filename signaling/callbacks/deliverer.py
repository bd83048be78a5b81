"""Delivers the outbox: claims what is due of each lane, posts it in order, and settles it.

A lane is an ordering key: a session and a receiver. Each claimed lane is one task, which posts its
deliveries one after the other.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Protocol

import structlog

from signaling.callbacks.sender import Result, Sent
from signaling.clock import Clock
from signaling.domain.callbacks import backoff_ms
from signaling.domain.errors import Unavailable
from signaling.domain.projects import Project
from signaling.domain.webhook_deliveries import (
    Claim,
    NewWebhookDelivery,
    Outcome,
    Places,
    WebhookDelivery,
)
from signaling.metrics import Metrics
from signaling.storage.base import Store
from signaling.storage.project_cache import ProjectCache

log = structlog.get_logger(__name__)

LOOK_S = 1.0
"""Interval for polling the outbox: retries fall due, and other processes write to it, too, and
register callbacks."""
_GATHER_S = 0.005
"""After a quiet time. Outcomes within this time share a transaction."""
_PACE_S = 0.15
"""Between two transactions while there is much to do. It is longer than the recorder's pace: while
events happen, outcomes share the transactions that queue them. It bounds what a kill lets arrive a
second time."""
_LONG_S = 0.05
_REST = 4
"""A claim looks at everything that is due. One that took long, because some project has very much
of it, is followed by so many times as long without one: others need the storage, too."""
_IN_A_ROW = 32
"""Deliveries of a lane in one claim, so that a busy session does not need a claim for each."""
_LANE_S = 2.0
"""A lane starts no further delivery after this time, so that each ends before its claim does."""
_FIGURES_EVERY_MS = 5_000
_PURGE_EVERY_MS = 3_600_000
_HIDDEN_BEYOND_TIMEOUT_MS = 5_000
_FAREWELL_S = 2.0


class Posting(Protocol):
    async def post(
        self, project: Project, url: str, event_id: str, body: bytes, now_s: int
    ) -> Sent: ...


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """`in_flight`: concurrent attempts; at most `per_origin` of them to one receiver, so that a
    hanging receiver does not block the others, and for one project a share of what is free, so that
    its many hanging receivers do not block those of others."""

    in_flight: int = 64
    per_origin: int = 16
    timeout_ms: int = 10_000
    keep_dead_ms: int = 7 * 86_400_000


class Deliverer:
    """Owns the attempts in progress. `chance()` in [0, 1) adds jitter to retries."""

    def __init__(
        self,
        store: Store,
        sender: Posting,
        clock: Clock,
        metrics: Metrics,
        limits: DeliveryLimits,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._projects = ProjectCache(store, clock, LOOK_S)
        self._sender = sender
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._chance = chance
        self._attempts: set[asyncio.Task[None]] = set()
        self._origins: Counter[str] = Counter()
        self._owners: Counter[str] = Counter()
        self._settled: list[Outcome] = []
        self._wake = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        """Claims depend on the attempts in progress, which they add to."""
        self._next_s = 0.0
        self._rest_until_s = 0.0
        self._look_due_ms = 0
        self._figures_due_ms = 0
        self._purge_due_ms = 0

    async def run(self) -> None:
        """Runs until it is cancelled. A storage failure is retried at the next poll."""
        while True:
            try:
                await self.turn()
            except Unavailable:
                log.warning("the outbox of callbacks cannot be read")
                await asyncio.sleep(LOOK_S)
            except Exception:
                log.exception("callbacks could not be delivered")
                await asyncio.sleep(LOOK_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._until_called_for()

    async def _until_called_for(self) -> None:
        """What another exchange has done meanwhile is not called for any more."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(max(_GATHER_S, self._next_s - self._clock.monotonic_s()))
            if self._wake.is_set() and self._clock.monotonic_s() >= self._next_s:
                return

    async def turn(self) -> None:
        """Settles finished deliveries and starts due ones within the limits."""
        async with self._one_at_a_time:
            now_ms = self._now_ms()
            await self._exchange(now_ms, (), is_due=await self._is_due(now_ms))
            await self._keep_house(now_ms)

    async def queue(self, deliveries: Sequence[NewWebhookDelivery]) -> None:
        """Puts deliveries in the outbox, and what `turn` does in the same transaction. Errors:
        those of the store; nothing is queued then."""
        async with self._one_at_a_time:
            self._wake.clear()
            await self._exchange(self._now_ms(), deliveries, is_due=True)

    async def _exchange(
        self, now_ms: int, new: Sequence[NewWebhookDelivery], *, is_due: bool
    ) -> None:
        begin_s = self._clock.monotonic_s()
        self._next_s = max(begin_s + _PACE_S, self._rest_until_s)
        if is_due and begin_s < self._rest_until_s:
            is_due = False
            self._wake.set()
        places = self._places()
        claim = self._claim(now_ms, places) if is_due and places.free > 0 else None
        claimed = await self._settle(claim, new)
        if claim is not None:
            self._rest(begin_s)
            await self._start(claimed, places)

    def _rest(self, begin_s: float) -> None:
        end_s = self._clock.monotonic_s()
        if end_s - begin_s >= _LONG_S:
            self._rest_until_s = end_s + _REST * (end_s - begin_s)
            self._next_s = max(self._next_s, self._rest_until_s)

    async def _is_due(self, now_ms: int) -> bool:
        """After something was queued or delivered the next one is probably due: no question then,
        unless the last look is long ago."""
        woken = self._wake.is_set()
        self._wake.clear()
        if woken and now_ms < self._look_due_ms:
            return True
        self._look_due_ms = now_ms + int(LOOK_S * 1000)
        return await self._store.callbacks.look(now_ms)

    def _places(self) -> Places:
        return Places(
            free=self._limits.in_flight - len(self._attempts),
            per_origin=self._limits.per_origin,
            origins=dict(self._origins),
            projects=dict(self._owners),
        )

    def _claim(self, now_ms: int, places: Places) -> Claim:
        return Claim(
            now_ms=now_ms,
            hidden_until_ms=now_ms + self._limits.timeout_ms + _HIDDEN_BEYOND_TIMEOUT_MS,
            places=places,
            in_a_row=_IN_A_ROW,
        )

    async def _start(self, claimed: Iterable[WebhookDelivery], before: Places) -> None:
        """`before`: the places that the claim had."""
        lanes = [list(lane) for _, lane in groupby(claimed, attrgetter("lane"))]
        owners = {lane[0].project_id for lane in lanes}
        projects = {name: await self._projects.project_named(name) for name in owners}
        for lane in lanes:
            head = lane[0]
            task = asyncio.create_task(self._deliver(lane, projects[head.project_id]))
            self._attempts.add(task)
            self._origins[head.origin] += 1
            self._owners[head.project_id] += 1
            task.add_done_callback(partial(self._forget, head))
        after = self._places()
        if after.free and (
            len(after.full_origins()) > len(before.full_origins())
            or len(after.full_projects()) > len(before.full_projects())
        ):
            # What is due of them may have hidden what is due of others.
            self._wake.set()

    def _forget(self, head: WebhookDelivery, task: "asyncio.Task[None]") -> None:
        self._attempts.discard(task)
        for counter, name in ((self._origins, head.origin), (self._owners, head.project_id)):
            counter[name] -= 1
            if not counter[name]:
                del counter[name]
        self._wake.set()

    async def _deliver(self, lane: Sequence[WebhookDelivery], project: Project | None) -> None:
        """Posts a lane up to its first failure, and gives back what it leaves."""
        until_s = self._clock.monotonic_s() + _LANE_S
        for number, delivery in enumerate(lane):
            if number and self._clock.monotonic_s() >= until_s:
                self._give_back(lane[number:])
                return
            if number and not await self._is_registered(delivery):
                continue  # its row went with the registration
            try:
                outcome = await self._outcome(delivery, project)
            except asyncio.CancelledError:
                # The server is shutting down: the next one need not wait until the claim expires.
                self._give_back(lane[number:])
                raise
            except Exception:
                log.exception("a callback could not be posted")
                outcome = self._failed(delivery, Sent(Result.FAILED))
            self._settled.append(outcome)
            if not (outcome.delivered or outcome.dead):
                self._give_back(lane[number + 1 :])
                return
            self._wake.set()

    async def _is_registered(self, delivery: WebhookDelivery) -> bool:
        try:
            known = await self._store.callbacks.known_callbacks_of(delivery.project_id)
        except Unavailable:
            return True  # it was a moment ago
        return any(callback.id == delivery.callback_id for callback in known)

    def _give_back(self, deliveries: Iterable[WebhookDelivery]) -> None:
        """Due again, and not counted as attempts: the receiver was not at fault."""
        now_ms = self._now_ms()
        self._settled += [
            Outcome(one.id, "given back", attempts=one.attempts, next_ms=now_ms)
            for one in deliveries
        ]

    async def _outcome(self, delivery: WebhookDelivery, project: Project | None) -> Outcome:
        if project is None:
            # The project was removed; there is nobody to deliver to.
            return Outcome(delivery.id, "no project", delivered=True)
        begin_s = self._clock.monotonic_s()
        now_s = int(self._clock.unix_s())
        body = delivery.body.encode()
        sent = await self._sender.post(project, delivery.url, delivery.event_id, body, now_s)
        self._metrics.callback_deliveries.labels(sent.result.value).inc()
        self._metrics.callback_seconds.observe(self._clock.monotonic_s() - begin_s)
        if sent.result is Result.DELIVERED:
            return Outcome(delivery.id, str(sent), delivered=True)
        return self._failed(delivery, sent)

    def _failed(self, delivery: WebhookDelivery, sent: Sent) -> Outcome:
        attempts = delivery.attempts + 1
        next_ms = self._now_ms() + backoff_ms(attempts, self._chance())
        if next_ms <= delivery.give_up_ms:
            return Outcome(delivery.id, str(sent), attempts=attempts, next_ms=next_ms)
        self._metrics.callback_deliveries.labels("given_up").inc()
        log.warning(
            "callback given up",
            project=delivery.project_id,
            event_name=delivery.event,
            attempts=attempts,
            result=str(sent),
        )
        return Outcome(delivery.id, str(sent), dead=True, attempts=attempts)

    async def _settle(
        self, claim: Claim | None = None, new: Sequence[NewWebhookDelivery] = ()
    ) -> tuple[WebhookDelivery, ...]:
        """Stores outcomes, queues and claims; after a failure the next call stores the outcomes."""
        outcomes, self._settled = self._settled, []
        if not outcomes and not new and claim is None:
            return ()
        try:
            return await self._store.callbacks.settle(outcomes, claim, new)
        except BaseException:
            self._settled = outcomes + self._settled
            raise

    async def _keep_house(self, now_ms: int) -> None:
        if now_ms >= self._figures_due_ms:
            self._figures_due_ms = now_ms + _FIGURES_EVERY_MS
            figures = await self._store.callbacks.queue_figures()
            oldest_ms = now_ms if figures.oldest_ms is None else figures.oldest_ms
            self._metrics.callbacks_waiting.set(figures.waiting)
            self._metrics.callbacks_oldest_seconds.set(max(0, now_ms - oldest_ms) / 1000)
            self._metrics.callbacks_dead.set(figures.dead)
        if now_ms >= self._purge_due_ms:
            self._purge_due_ms = now_ms + _PURGE_EVERY_MS
            await self._store.callbacks.purge_dead(now_ms - self._limits.keep_dead_ms)

    async def idle(self) -> None:
        """Returns when no attempt is in progress."""
        while self._attempts:
            await asyncio.wait(list(self._attempts))
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Waits briefly for attempts in progress; the others are due again at once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self.idle()
        for task in list(self._attempts):
            task.cancel()
        await asyncio.gather(*self._attempts, return_exceptions=True)
        with contextlib.suppress(Unavailable):
            await self._settle()

    def _now_ms(self) -> int:
        return int(self._clock.unix_s() * 1000)
