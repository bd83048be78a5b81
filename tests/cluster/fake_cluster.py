"""A cluster in memory: nodes that see each other's rows at once, and one table of homes."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from signaling.cluster.base import (
    Change,
    Figures,
    NodeCame,
    NodeDied,
    OnChange,
    Renewed,
    Superseded,
)
from signaling.cluster.engine import Home, NodeRow
from signaling.cluster.engine_memory import ClusterTable
from signaling.joining import Joining


class FakeNetwork:
    """What all nodes of a test have in common."""

    def __init__(self) -> None:
        self.table = ClusterTable()
        self.living: dict[int, FakeCluster] = {}
        self.rows: dict[int, NodeRow] = {}

    def joining(self, name: str) -> Joining:
        @contextlib.asynccontextmanager
        async def join(url: str, certificate: str) -> AsyncIterator[FakeCluster]:
            node = FakeCluster(self, NodeRow(name, link_url=url, certificate=certificate))
            try:
                yield node
            finally:
                self.end(node.me)

        return Joining(name, "127.0.0.1", 0, "", join)

    def end(self, incarnation: int) -> None:
        """Leaves, or is declared dead: the others are told."""
        if self.living.pop(incarnation, None) is not None:
            self.rows.pop(incarnation)
            self.table.leave(incarnation)
            for other in list(self.living.values()):
                other.notify(NodeDied(incarnation))

    def give(self, session_id: str, to: int) -> None:
        """Another node is home from now on."""
        home = self.table.home_of(session_id)
        assert home is not None
        given = self.table.give(home, to)
        assert given is not None
        old, new = self.living[home.incarnation], self.living[to]
        new.homes[session_id] = given
        del old.homes[session_id]
        old.notify(Superseded(session_id, home.epoch))


class FakeCluster:
    """Implements `Cluster`."""

    def __init__(self, network: FakeNetwork, row: NodeRow) -> None:
        self._network = network
        self.me = network.table.join(row)
        self.homes: dict[str, Home] = {}
        self.used: set[str] = set()
        self.hears: set[int] = set()
        self.refused: list[int] = []
        self.shown: list[tuple[str, int]] = []
        self.forgotten: list[str] = []
        self.is_unsure = False
        self._watchers: list[OnChange] = []
        network.rows[self.me] = replace(row, incarnation=self.me)
        for other in network.living.values():
            other.notify(NodeCame(network.rows[self.me]))
        network.living[self.me] = self

    def notify(self, change: Change) -> None:
        for watcher in list(self._watchers):
            watcher(change)

    async def home(self, session_id: str, project_id: str, limit: int | None = None) -> Home:
        table = self._network.table
        held = self.homes.get(session_id)
        if held is not None:
            return held
        claimed = table.claim(session_id, project_id, limit, self.me)
        if claimed is not None:
            self.homes[session_id] = claimed
            return claimed
        found = table.home_of(session_id)
        assert found is not None
        return found

    async def find(self, session_id: str) -> Home | None:
        return self._network.table.home_of(session_id)

    def held(self, session_id: str) -> Home | None:
        return self.homes.get(session_id)

    def renew(self, session_id: str) -> None:
        """The same home, under another epoch."""
        home = replace(self.homes[session_id], epoch=self.homes[session_id].epoch + 1_000)
        self.homes[session_id] = home
        self._network.table._homes[session_id] = home
        self.notify(Renewed(home))

    def show(self, session_id: str, epoch: int) -> None:
        self.shown.append((session_id, epoch))

    def forget(self, session_id: str) -> None:
        self.forgotten.append(session_id)

    def occupied(self, session_id: str, *, is_occupied: bool) -> None:
        (self.used.add if is_occupied else self.used.discard)(session_id)

    def node(self, incarnation: int) -> NodeRow | None:
        return self._network.rows.get(incarnation)

    def nodes(self) -> tuple[NodeRow, ...]:
        return tuple(self._network.rows.values())

    def heard(self, incarnation: int) -> None:
        self.hears.add(incarnation)

    def lost(self, incarnation: int, *, refused: bool) -> None:
        self.hears.discard(incarnation)
        if refused:
            self.refused.append(incarnation)

    def watch(self, on_change: OnChange) -> None:
        self._watchers.append(on_change)

    def figures(self) -> Figures:
        return Figures(homes=len(self.homes))

    def drain(self) -> None:
        """Nobody chooses."""
