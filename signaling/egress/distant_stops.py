"""Stops over another node of the same database.

What leaves a session runs on one node, and any node may be asked to stop it. The node that does not
run it stores a row; each node looks once a second for rows that name what it runs, ends that, and
removes the row. A row that nobody removes is of something that runs nowhere, as after a kill, and
is forgotten. Nobody waits for other nodes where there are none: each has a row of its own, too.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from signaling.clock import Clock
from signaling.domain.errors import Conflict, NotFound, Unavailable
from signaling.domain.stops import AskedStop
from signaling.egress.house_keeping import keep_house
from signaling.egress.neighbors import Neighbors
from signaling.egress.ordered_writes import Sleep
from signaling.storage.base import StopStore

log = structlog.get_logger(__name__)

LOOK_S = 1.0
WAIT_S = 5.0
"""For the other node: some looks of a busy one. The caller of the API waits for it."""
_POLL_S = 0.2
_BEAT_S = 2.0
_FORGET_MS = 600_000
"""Rows that no node took up; clocks of nodes may differ by minutes."""


@dataclass(frozen=True, slots=True)
class Stoppable:
    """What one feature runs on this node. `running`: the project of each object, by its id. `stop`
    returns once the end is stored; it may raise a `DomainError` for what ended meanwhile."""

    running: Callable[[], Mapping[str, str]]
    stop: Callable[[str], Awaitable[object]]


class DistantStops:
    """Used on the event loop only. `is_shared`: other nodes may use the database."""

    def __init__(
        self, store: StopStore, clock: Clock, *, is_shared: bool, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._store = store
        self._clock = clock
        self._is_shared = is_shared
        self._sleep = sleep
        self._features: list[Stoppable] = []
        self._name = str(uuid.uuid4())
        self._neighbors = Neighbors()
        self._beat_s: float | None = None

    def offer(self, feature: Stoppable) -> None:
        """What other nodes may ask this one to stop."""
        self._features.append(feature)

    async def ask(self, project_id: str, object_id: str) -> bool:
        """True once the node that runs the object has ended it; False if none does.

        Errors: `storage_unavailable`."""
        if not self._is_shared or not _is_id(object_id):
            return False
        now_ms = int(self._clock.unix_s() * 1000)
        await self._store.forget_stops(now_ms - _FORGET_MS)
        asked = AskedStop(str(uuid.uuid4()), object_id, project_id, now_ms)
        await self._store.add_stop(asked)
        if not self._neighbors.may_live(self._clock.monotonic_s()):
            return False
        for _ in range(round(WAIT_S / _POLL_S)):
            await self._sleep(_POLL_S)
            if not await self._store.has_stop(asked.id):
                return True
        # The row stays: a node that is slow ends the object later.
        return False

    async def look(self) -> None:
        """Ends what other nodes asked this one to end. Errors: `storage_unavailable`."""
        here = {
            object_id: (project_id, feature)
            for feature in self._features
            for object_id, project_id in feature.running().items()
        }
        if not here or not self._is_shared:
            return
        for asked in await self._store.stops_of(here):
            project_id, feature = here[asked.object_id]
            if project_id == asked.project_id:
                await self._stop(feature, asked)

    async def _stop(self, feature: Stoppable, asked: AskedStop) -> None:
        try:
            await feature.stop(asked.object_id)
        except (Conflict, NotFound) as over:
            log.debug("stopped already", code=over.code.value)
        await self._store.remove_stop(asked.id)

    async def beat(self) -> None:
        """Shows the others that this node lives, and sees which of them do. Errors:
        `storage_unavailable`."""
        now_s = self._clock.monotonic_s()
        if not self._is_shared or (self._beat_s is not None and now_s - self._beat_s < _BEAT_S):
            return
        now_ms = int(self._clock.unix_s() * 1000)
        if self._beat_s is None:
            await self._store.forget_stops(now_ms - _FORGET_MS)
        self._beat_s = now_s
        await self._store.beat(self._name, now_ms)
        beats = dict(await self._store.beats())
        beats.pop(self._name, None)
        self._neighbors.note(beats, now_s)

    async def leave(self) -> None:
        """Nobody waits for this node any more. Errors: `storage_unavailable`."""
        if self._is_shared:
            await self._store.remove_stop(self._name)

    async def run(self) -> None:
        """Runs until it is cancelled."""
        chores = {"looking for stops": self.look, "looking for other servers": self.beat}
        await keep_house(chores, self._sleep, every_s=LOOK_S)


@contextlib.asynccontextmanager
async def running_stops(
    store: StopStore, clock: Clock, *, is_shared: bool
) -> AsyncIterator[DistantStops]:
    """Those of a server: it looks inside the block."""
    stops = DistantStops(store, clock, is_shared=is_shared)
    looking = asyncio.create_task(stops.run())
    try:
        yield stops
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        with contextlib.suppress(Unavailable):
            await stops.leave()


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
