"""Records the events of sessions: first in the journal, then in the outbox."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from signaling.callbacks.audience import Audiences, Bounds
from signaling.callbacks.journal import Journal
from signaling.clock import Clock
from signaling.domain.callbacks import CallbackEvent, callback_event
from signaling.domain.effects import Notify
from signaling.domain.errors import Unavailable
from signaling.domain.session_options import SessionRecord
from signaling.domain.shares import may_take
from signaling.domain.webhook_deliveries import NewWebhookDelivery
from signaling.metrics import Metrics
from signaling.storage.base import CallbackStore, Store

log = structlog.get_logger(__name__)

MAX_SPOOLED = 100_000
"""Limit of events in memory while the storage is unavailable (about 100 MB). More are lost, and
counted; of one project those that would leave no room for others."""
_BATCH = 500
"""Events per transaction, so that other tasks run in between."""
_RETRY_S = 1.0
_GATHER_S = 0.005
"""After a quiet time. Events within this time share a transaction. They are on disk already."""
_PACE_S = 0.1
"""Between two transactions while much happens. Each costs nearly the CPU of a join, and a callback
that comes a tenth of a second later is not noticed."""
Sleep = Callable[[float], Awaitable[None]]
Queue = Callable[[Sequence[NewWebhookDelivery]], Awaitable[None]]


class Recorder:
    """Records every event of this node. `queue` puts deliveries in the outbox, all or none: the
    store itself, or what delivers them too."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        clock: Clock,
        metrics: Metrics,
        bounds: Bounds,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._audiences = Audiences(store, clock, bounds)
        self._outbox: CallbackStore = store.callbacks
        self._journal = journal
        self._clock = clock
        self._metrics = metrics
        self._bounds = bounds
        self._sleep = sleep
        self._spool: deque[CallbackEvent] = deque(journal.leftovers)
        self._spooled = Counter(happened.project_id for happened in self._spool)
        self._wake = asyncio.Event()
        self.queue: Queue = store.callbacks.queue
        self._show()
        if self._spool:
            log.info("recovered callbacks of an earlier run", events=len(self._spool))
            self._wake.set()

    def notify(self, record: SessionRecord, notice: Notify) -> None:
        """Writes an event to disk before it returns; never waits for the storage, never raises.
        The events of a project without callbacks are not recorded, except while something of it is
        open in the journal, whose end has to be noted."""
        project = record.project_id
        if not (self._outbox.may_have_callbacks(project) or self._journal.has_open(project)):
            return
        happened = callback_event(record, notice, int(self._clock.unix_s() * 1000))
        if not may_take(self._spooled[project], MAX_SPOOLED - len(self._spool)):
            self._metrics.callback_events_lost.labels("spool_full").inc()
            return
        try:
            self._journal.write(happened)
        except OSError as failure:
            # The event can still reach the outbox, but a kill before that loses it.
            log.error("the callback journal cannot be written", reason=failure.strerror)  # noqa: TRY400
        self._spool.append(happened)
        self._spooled[project] += 1
        self._show()
        self._wake.set()

    def _show(self) -> None:
        self._metrics.callback_events_not_queued.set(len(self._spool))

    async def run(self) -> None:
        """Runs until it is cancelled."""
        next_s = self._clock.monotonic_s()
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._sleep(max(_GATHER_S, next_s - self._clock.monotonic_s()))
            next_s = self._clock.monotonic_s() + _PACE_S
            if self._spool:
                await self._flush_when_possible()

    async def _flush_when_possible(self) -> None:
        self._journal.turn()
        batch = list(self._spool)
        while True:
            try:
                await self._write(batch)
                break
            except Unavailable:
                log.warning("callbacks wait for the storage", events=len(self._spool))
                await self._sleep(_RETRY_S)
            except Exception:
                log.exception("events could not be queued together", events=len(batch))
                await self._write_one_by_one(batch)
                break
        for happened in batch:
            self._spool.popleft()
            self._spooled[happened.project_id] -= 1
        self._spooled = +self._spooled  # without those that have none
        self._show()
        self._journal.done()

    async def _write_one_by_one(self, batch: Sequence[CallbackEvent]) -> None:
        """Queues events singly, so that a faulty one does not block the others."""
        for happened in batch:
            try:
                await self._write([happened])
            except Exception:
                log.exception("an event is lost", event_name=happened.event)
                self._metrics.callback_events_lost.labels("internal").inc()

    async def _write(self, batch: Sequence[CallbackEvent]) -> None:
        for begin in range(0, len(batch), _BATCH):
            deliveries = await self._deliveries(batch[begin : begin + _BATCH])
            if deliveries:
                await self.queue(deliveries)

    async def _deliveries(self, batch: Sequence[CallbackEvent]) -> list[NewWebhookDelivery]:
        """The deliveries of a batch of events. A project above its limit loses the newest."""
        audiences = {
            name: await self._audiences.of(name, events)
            for name, events in Counter(happened.project_id for happened in batch).items()
        }
        made = []
        for happened in batch:
            audience = audiences[happened.project_id]
            if audience is not None:
                made += audience.deliveries(happened, self._bounds.give_up_after_ms)
        for audience in audiences.values():
            if audience is not None and audience.lost:
                self._metrics.callback_events_lost.labels("queue_full").inc(audience.lost)
        return made

    async def close(self, timeout_s: float) -> None:
        """Writes the remaining events; those not written in time stay for the next start."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._spool:
                    await self._flush_when_possible()
        except TimeoutError:
            log.warning("callbacks are left for the next start", events=len(self._spool))
        self._journal.close(empty=not self._spool)
