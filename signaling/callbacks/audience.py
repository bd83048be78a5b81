"""Who gets an event: the registrations of its project, and how many deliveries may still wait."""

import json
from dataclasses import dataclass

from signaling.clock import Clock
from signaling.domain.callbacks import Callback, CallbackEvent, payload, wanting
from signaling.domain.projects import Project
from signaling.domain.webhook_deliveries import NewWebhookDelivery, new_delivery
from signaling.storage.base import Store
from signaling.storage.project_cache import ProjectCache

_PROJECT_S = 1.0
"""How long a project is kept; its name is all that an event needs of it."""
_COUNT_S = 1.0
"""How long a count of waiting deliveries is kept. With what was added since it is the most that can
wait, but for what other nodes of the same database add."""
_MAX_COUNTS = 10_000
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(slots=True)
class Bounds:
    """`waiting_per_project`: limit of waiting deliveries; `give_up_after_ms`: since the event."""

    waiting_per_project: int
    give_up_after_ms: int


@dataclass(slots=True)
class _Count:
    """How many more deliveries of a project may wait, and until when that is believed."""

    free: int
    until_s: float


class Audience:
    """A project's registrations for one batch of events. `lost` counts what was above the limit."""

    def __init__(self, project: Project, callbacks: tuple[Callback, ...], count: _Count) -> None:
        self._project = project
        self._callbacks = callbacks
        self._count = count
        self.lost = 0

    def deliveries(
        self, happened: CallbackEvent, give_up_after_ms: int
    ) -> list[NewWebhookDelivery]:
        matching = wanting(self._callbacks, happened)
        if len(matching) > self._count.free:
            self.lost += len(matching)
            return []
        self._count.free -= len(matching)
        body = _encode(payload(happened, self._project))
        return [new_delivery(happened, one, body, give_up_after_ms) for one in matching]


class Audiences:
    """Of all projects, mostly from memory. Used on the event loop only."""

    def __init__(self, store: Store, clock: Clock, bounds: Bounds) -> None:
        self._projects = ProjectCache(store, clock, _PROJECT_S)
        self._outbox = store.callbacks
        self._clock = clock
        self._bounds = bounds
        self._counts: dict[str, _Count] = {}

    async def of(self, project_id: str, events: int) -> Audience | None:
        """For that many events; None if nobody gets them. Errors: `storage_unavailable`."""
        callbacks = await self._outbox.known_callbacks_of(project_id)
        project = await self._projects.project_named(project_id) if callbacks else None
        if project is None:
            return None
        count = await self._counted(project_id, events * len(callbacks))
        return Audience(project, callbacks, count)

    async def _counted(self, project_id: str, wanted: int) -> _Count:
        """Counts again only if the last count is old, or leaves less than is wanted."""
        now_s = self._clock.monotonic_s()
        count = self._counts.get(project_id)
        if count is None or count.until_s <= now_s or count.free < wanted:
            free = self._bounds.waiting_per_project - await self._outbox.waiting_of(project_id)
            count = _Count(free, now_s + _COUNT_S)
            if len(self._counts) >= _MAX_COUNTS:
                self._counts.clear()
            self._counts[project_id] = count
        return count
