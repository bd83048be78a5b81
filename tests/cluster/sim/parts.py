"""What a run has: its sizes and times, what may be switched off in it, and its clients."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from signaling.cluster.engine_memory import ClusterTable
from signaling.cluster.homing import HomeRules, Homing
from signaling.cluster.membership import Rules

if TYPE_CHECKING:
    from tests.cluster.sim.world import Node

NODES, SESSIONS, CLIENTS = 4, 4, 8
LIMIT = 3
"""Sessions of the project that has a limit."""
COMMAND_S, CLIENT_WAITS_S, GATE_WAITS_S, PATIENCE_S = 0.2, 1.0, 1.0, 5.0
TICK_S, PING_S, UNUSED_S = 0.25, 2.0, 2.0
CALL_FAILS_S = 2.0


@dataclass(frozen=True)
class Mutation:
    """What is switched off in a run, to see that the properties notice."""

    rules: Rules = field(default_factory=Rules)
    homes: HomeRules = field(default_factory=HomeRules)
    table: type[ClusterTable] = ClusterTable
    clients_have_fences: bool = True
    homing: type[Homing] = Homing


class Violation(AssertionError):  # noqa: N818 - as the properties say it
    """A property does not hold."""


class Client:
    def __init__(self, number: int) -> None:
        self.number, self.session = number, f"s{number % SESSIONS}"
        self.gate: Node | None = None
        self.left: Node | None = None
        self.epoch = 0
        self.served_at = 0.0
        self.worst_gap = 0.0
        self.asked = 0
        self.lives = True
