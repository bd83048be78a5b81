"""The engine in memory: a table for the simulation, and an engine over it for tests.

`ClusterTable` is the model of what the database promises; the contract test compares both.
"""

from collections import Counter
from dataclasses import replace

from signaling.cluster.engine import (
    LIVING,
    NOBODY,
    NUMBER_BITS,
    SERVING,
    Beat,
    Home,
    NodeRow,
    NodeState,
    View,
)
from signaling.domain.errors import ErrorCode, error


class ClusterTable:
    """Nodes and homes. Every method is one transaction."""

    def __init__(self, timeline: int = 1) -> None:
        self.timeline = timeline
        self._last = 0
        self._nodes: dict[int, NodeRow] = {}
        self._homes: dict[str, Home] = {}

    def copy(self) -> "ClusterTable":
        """As it is now, for a fail-over that loses what comes after."""
        other = ClusterTable(self.timeline)
        other._last, other._nodes, other._homes = self._last, dict(self._nodes), dict(self._homes)
        return other

    def join(self, row: NodeRow) -> int:
        incarnation = self._number()
        self._nodes[incarnation] = replace(row, incarnation=incarnation, beat=0)
        return incarnation

    def beat(self, beat: Beat) -> View:
        row = self._nodes.get(beat.incarnation)
        if row is not None and row.state in LIVING:
            self._nodes[beat.incarnation] = replace(
                row, beat=row.beat + 1, state=beat.state, hears=beat.hears, load=beat.load
            )
        living = tuple(row for row in self.nodes() if row.state in LIVING)
        homes = self.homes_of(beat.incarnation)
        return View(self.timeline, len(homes), living, sum(home.epoch for home in homes))

    def certify(self, incarnation: int, seen_beat: int) -> bool:
        row = self._nodes.get(incarnation)
        if row is None or row.state not in LIVING:
            return True
        if row.beat != seen_beat:
            return False
        self._nodes[incarnation] = replace(row, state=NodeState.DEAD)
        return True

    def claim(self, session_id: str, project_id: str, limit: int | None, me: int) -> Home | None:
        epoch = self._number()
        if not self._serves(me):
            return None
        taken = self._homes.get(session_id)
        now = NOBODY if taken is None else taken.incarnation
        if now not in {NOBODY, me} and self._serves(now):
            return None
        if limit is not None and now == NOBODY and self._count(project_id) >= limit:
            raise error(ErrorCode.SESSION_LIMIT)
        home = Home(session_id, project_id, me, epoch, {} if taken is None else taken.facts)
        self._homes[session_id] = home
        return home

    def give(self, home: Home, to: int) -> Home | None:
        if not self._is(home) or not self._serves(home.incarnation) or not self._serves(to):
            return None
        given = replace(self._homes[home.session_id], incarnation=to, epoch=self._number())
        self._homes[home.session_id] = given
        return given

    def release(self, home: Home) -> bool:
        if not self._is(home):
            return False
        self._homes[home.session_id] = replace(self._homes[home.session_id], incarnation=NOBODY)
        return True

    def home_of(self, session_id: str) -> Home | None:
        home = self._homes.get(session_id)
        return None if home is None or home.incarnation == NOBODY else home

    def homes_of(self, incarnation: int) -> tuple[Home, ...]:
        return tuple(h for _, h in sorted(self._homes.items()) if h.incarnation == incarnation)

    def nodes(self) -> tuple[NodeRow, ...]:
        return tuple(row for _, row in sorted(self._nodes.items()))

    def orphans(self) -> frozenset[int]:
        homes = Counter(home.incarnation for home in self._homes.values())
        return frozenset(one for one in homes if one != NOBODY and not self._lives(one))

    def sweep(self, incarnations: frozenset[int]) -> int:
        gone = [
            home
            for home in self._homes.values()
            if home.incarnation in incarnations and not self._lives(home.incarnation)
        ]
        for home in gone:
            self._homes[home.session_id] = replace(home, incarnation=NOBODY)
        return len(gone)

    def leave(self, incarnation: int) -> None:
        row = self._nodes.get(incarnation)
        if row is None or row.state not in LIVING:
            return
        self._nodes[incarnation] = replace(row, state=NodeState.LEFT)
        self.sweep(frozenset({incarnation}))

    def _number(self) -> int:
        self._last += 1
        return self.timeline << NUMBER_BITS | self._last

    def _lives(self, incarnation: int) -> bool:
        row = self._nodes.get(incarnation)
        return row is not None and row.state in LIVING

    def _serves(self, incarnation: int) -> bool:
        row = self._nodes.get(incarnation)
        return row is not None and row.state in SERVING

    def _is(self, home: Home) -> bool:
        now = self._homes.get(home.session_id)
        return now is not None and (now.incarnation, now.epoch) == (home.incarnation, home.epoch)

    def _count(self, project_id: str) -> int:
        return sum(
            home.project_id == project_id and home.incarnation != NOBODY
            for home in self._homes.values()
        )


class EngineMemory:
    """Implements `Engine` over a table, which several nodes of a test may share."""

    def __init__(self, table: ClusterTable | None = None) -> None:
        self.table = table or ClusterTable()

    async def join(self, row: NodeRow) -> int:
        return self.table.join(row)

    async def beat(self, beat: Beat) -> View:
        return self.table.beat(beat)

    async def certify(self, incarnation: int, seen_beat: int) -> bool:
        return self.table.certify(incarnation, seen_beat)

    async def claim(
        self, session_id: str, project_id: str, limit: int | None, me: int
    ) -> Home | None:
        return self.table.claim(session_id, project_id, limit, me)

    async def give(self, home: Home, to: int) -> Home | None:
        return self.table.give(home, to)

    async def release(self, home: Home) -> bool:
        return self.table.release(home)

    async def home_of(self, session_id: str) -> Home | None:
        return self.table.home_of(session_id)

    async def homes_of(self, incarnation: int) -> tuple[Home, ...]:
        return self.table.homes_of(incarnation)

    async def nodes(self) -> tuple[NodeRow, ...]:
        return self.table.nodes()

    async def orphans(self) -> frozenset[int]:
        return self.table.orphans()

    async def sweep(self, incarnations: frozenset[int]) -> int:
        return self.table.sweep(incarnations)

    async def leave(self, incarnation: int) -> None:
        self.table.leave(incarnation)

    async def close(self) -> None:
        """Nothing is open."""
