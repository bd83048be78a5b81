"""What the rest of the server sees of the cluster; `directory` implements it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from signaling.cluster.engine import Home, NodeRow


@dataclass(frozen=True, slots=True)
class NodeCame:
    """A node lives that was not known."""

    node: NodeRow


@dataclass(frozen=True, slots=True)
class NodeDied:
    """A node lives no more: every route to it and every link with it ends at once."""

    incarnation: int


@dataclass(frozen=True, slots=True)
class Superseded:
    """Another node is home of a session whose home was here. Its clients go to the node that
    `home` names from now on; `epoch` is the one that ended."""

    session_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Renewed:
    """This node is still the home of a session, with another epoch: it was declared dead and nobody
    took the session, or the database lost its newest writes."""

    home: Home


@dataclass(frozen=True, slots=True)
class Reborn:
    """This node was declared dead and has begun a new life; links greet with its number."""

    incarnation: int


Change = NodeCame | NodeDied | Superseded | Renewed | Reborn
OnChange = Callable[[Change], None]


@dataclass(slots=True)
class Figures:
    """Of one node. `homes`: sessions whose home it is. `silent_s`: since the sending of the newest
    beat that was acknowledged. `beat_s`: how long that took. The others are totals: `gone` are
    nodes that lived and live no more, `lives` those of this node, `faults` by the part of the
    membership that raised what nobody expected, and went on."""

    homes: int = 0
    silent_s: float = 0.0
    beat_s: float = 0.0
    beats: int = 0
    beats_failed: int = 0
    claims: int = 0
    claims_lost: int = 0
    superseded: int = 0
    gone: int = 0
    lives: int = 0
    faults: dict[str, int] = field(default_factory=dict)


class Cluster(Protocol):
    """The nodes that live, and where sessions have their home.

    Whoever has links says what they hear (`heard`, `lost`). Whoever has actors says which sessions
    are in use here (`occupied`): a home that is not is released after the linger time.
    """

    @property
    def me(self) -> int:
        """The incarnation of this node now."""

    @property
    def is_unsure(self) -> bool:
        """Whether this node's beats are not acknowledged. Calls go on; callbacks wait."""

    async def home(self, session_id: str, project_id: str, limit: int | None = None) -> Home:
        """Where a session's actor is, or shall be: here, if nobody is its home. `limit`: see
        `Engine.claim`. Errors: `session_limit`; `storage_unavailable` if it is not known."""

    async def find(self, session_id: str) -> Home | None:
        """Where a session's actor is; None: nowhere, as far as living nodes go, and nobody becomes
        its home by this. Errors: `storage_unavailable` if it is not known."""

    def held(self, session_id: str) -> Home | None:
        """The home of a session if it is here and may take commands."""

    def show(self, session_id: str, epoch: int) -> None:
        """Somebody has seen this epoch of a session: a home here with a lower one is superseded,
        and a route to one is forgotten."""

    def forget(self, session_id: str) -> None:
        """A link said that the home of a session is not where `home` said."""

    def occupied(self, session_id: str, *, is_occupied: bool) -> None:
        """Whether a session whose home is here is in use."""

    def node(self, incarnation: int) -> NodeRow | None:
        """The row of a living node; None for all others."""

    def nodes(self) -> tuple[NodeRow, ...]:
        """The rows of all living nodes, this one among them."""

    def heard(self, incarnation: int) -> None:
        """The link with a node is up. Say it once, and again after `lost`."""

    def lost(self, incarnation: int, *, refused: bool) -> None:
        """The link with a node is down. `refused`: its port refuses connections, or another life
        of the same node answers there, so that this process is gone."""

    def watch(self, on_change: OnChange) -> None:
        """Calls it with each change, on the event loop."""

    def figures(self) -> "Figures":
        """What there is now, and what has happened since the start."""

    def drain(self) -> None:
        """Others choose this node no more; it goes on with what it has."""
