"""The engine of a cluster: the one place where nodes are alive, and sessions have a home.

`engine_postgres` has it in the database that all nodes use, `engine_memory` in memory for tests and
the simulation, `engine_alone` is for a node without others. One contract test is for all of them.

Incarnations and epochs are numbers of one sequence, `timeline << 40 | number`. The timeline grows
with each fail-over of the database, so that numbers grow even if the newest writes were lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

NUMBER_BITS = 40
NOBODY = 0
"""The incarnation of a home that nobody has."""


class NodeState(StrEnum):
    """`joining > ready > draining > left`; `dead` is final, and said by other nodes."""

    JOINING = "joining"
    READY = "ready"
    DRAINING = "draining"
    LEFT = "left"
    DEAD = "dead"


LIVING = frozenset({NodeState.JOINING, NodeState.READY, NodeState.DRAINING})
"""States of nodes that beat."""
SERVING = frozenset({NodeState.READY, NodeState.DRAINING})
"""States of nodes that may have homes."""


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One life of a node. `hears`: the incarnations whose links it hears. `load`: figures for other
    nodes, by name. `certificate`: PEM, of its end of links. `started_ms`: Unix time, to be shown
    only: nothing is decided by it."""

    name: str
    incarnation: int = NOBODY
    region: str = ""
    release: str = ""
    state: NodeState = NodeState.READY
    beat: int = 0
    hears: frozenset[int] = frozenset()
    load: Mapping[str, float] = field(default_factory=dict)
    proto_min: int = 1
    proto_max: int = 1
    control_url: str = ""
    link_url: str = ""
    certificate: str = ""
    started_ms: int = 0


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What operators are shown of one life: how many sessions have their home there, and how long
    ago it beat, or ended, by the database's clock."""

    row: NodeRow
    homes: int
    age_s: float

    @property
    def is_living(self) -> bool:
        return self.row.state in LIVING


@dataclass(frozen=True, slots=True)
class Home:
    """Where a session's actor is: the incarnation of its node, and the epoch of its reign there.
    `facts`: what clients cannot tell a later home."""

    session_id: str
    project_id: str
    incarnation: int
    epoch: int
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class View:
    """What a beat answers. `rows`: every living node, in the order of their incarnations. Without
    one's own row one is dead. `homes`: how many sessions the table gives to the node that beats;
    `epochs` is the sum of their epochs."""

    timeline: int
    homes: int
    rows: tuple[NodeRow, ...]
    epochs: int = 0

    def row(self, incarnation: int) -> NodeRow | None:
        return next((row for row in self.rows if row.incarnation == incarnation), None)


@dataclass(frozen=True, slots=True)
class Beat:
    """What a node says of itself each second."""

    incarnation: int
    state: NodeState = NodeState.READY
    hears: frozenset[int] = frozenset()
    load: Mapping[str, float] = field(default_factory=dict)


class Engine(Protocol):
    """Each method is one transaction and may raise `Unavailable` (`storage_unavailable`). What a
    node that is not living asks changes nothing."""

    async def join(self, row: NodeRow) -> int:
        """Begins a life, in the state of the row; the incarnation."""

    async def beat(self, beat: Beat) -> View: ...

    async def certify(self, incarnation: int, seen_beat: int) -> bool:
        """Declares a node dead whose beat is still the one that was seen; whether it is dead."""

    async def claim(
        self, session_id: str, project_id: str, limit: int | None, me: int
    ) -> Home | None:
        """Makes a serving node the home, with a new epoch, unless another serving node is; None if
        so, or if `me` is not serving. `limit`: how many sessions of the project may have a home;
        taking over one that has one is no further session. Errors: `session_limit`."""

    async def give(self, home: Home, to: int) -> Home | None:
        """Hands a home over to another serving node, with a new epoch; None if it was not that."""

    async def release(self, home: Home) -> bool:
        """Nobody is home any more; False if it was not that home."""

    async def home_of(self, session_id: str) -> Home | None:
        """The home in the table, whether or not its node lives; None: nobody is."""

    async def homes_of(self, incarnation: int) -> tuple[Home, ...]:
        """The homes that the table gives to a node."""

    async def nodes(self) -> tuple[NodeRow, ...]:
        """All lives of the last day, in the order of their incarnations."""

    async def orphans(self) -> frozenset[int]:
        """The incarnations that are not living and still have homes."""

    async def sweep(self, incarnations: frozenset[int]) -> int:
        """Releases what these have if they are not living, and forgets rows that are a day old; the
        number of homes that were released."""

    async def leave(self, incarnation: int) -> None:
        """Ends a life: `left`, and nobody's homes are its own."""

    async def close(self) -> None: ...
