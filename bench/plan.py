"""What one run measures: scenarios, rounds and servers, so that it ends in a time that is known."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.loadgen import Timing
from bench.scenarios import BLOCKED, EVERYTHING, QUICK

OURS = "sealroute"
MAIN = frozenset(
    (
        OURS,
        "sealroute-cm80",
        "janus-videoroom-ev0",
        "janus-videoroom-ev2",
        "livekit",
        "mediasoup",
    )
)
"""Where not all settings of each are compared."""
_QUICK = MAIN - {"sealroute-cm80"}
_TARGETS = ("1-50", "1-50-bursts", "10-10-bursts", BLOCKED)
_LEGACY_PEERS = frozenset(("janus-videoroom-ev2-cm80", "mediasoup-cm80"))
_OWN = ("1-50-frames", "1-500-frames")
_SIZES = frozenset(("1-500", "audio-1-500", "audio-10-100"))


@dataclass(frozen=True, slots=True)
class Step:
    """A scenario in its rounds; each round measures one server after the other."""

    scenario: str
    rounds: int
    servers: frozenset[str] | None = None
    """None: all."""
    without: frozenset[str] = frozenset()
    floor: bool = True

    def has(self, server: str) -> bool:
        return server not in self.without and (self.servers is None or server in self.servers)


@dataclass(frozen=True, slots=True)
class Plan:
    steps: tuple[Step, ...]
    timing: Timing
    minutes: float | None = None
    """No turn begins later: a busy machine gives fewer rounds, not a longer run."""
    extras: bool = True
    """Idle sessions, the storm of joins, the profile and the instruction count."""

    def turns(self) -> Iterator[tuple[Step, int]]:
        """Step by step within a round, and all steps again in the next: what is slow for a while
        on the machine then touches all scenarios a little, none wholly."""
        for number in range(max((step.rounds for step in self.steps), default=0)):
            for step in self.steps:
                if number < step.rounds:
                    yield step, number


def _wide(name: str) -> Step:
    servers = MAIN - {"livekit"} if name in _SIZES else MAIN
    return Step(name, 1, servers, floor=False)


STANDARD = Plan(
    (
        Step("1-50", 3),
        *(Step(name, 3, without=_LEGACY_PEERS) for name in _TARGETS if name != "1-50"),
        *(Step(name, 3, frozenset((OURS,)), floor=False) for name in _OWN),
        *(_wide(name) for name in EVERYTHING if name not in _TARGETS + _OWN),
    ),
    Timing(silent_s=1.0, warm_s=0.5, window_s=4.0),
    minutes=22.0,
)
"""About 25 minutes with all servers on two cores."""
QUICKLY = Plan(
    tuple(Step(name, 1, _QUICK) for name in QUICK), Timing(1.0, 0.5, 2.5), minutes=2.7, extras=False
)
"""About three minutes."""
FULL = Plan(tuple(Step(name, 5) for name in EVERYTHING), Timing(3.0, 1.0, 10.0))
"""Hours."""
