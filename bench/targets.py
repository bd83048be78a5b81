"""What we aim at, and whether these rounds get there. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench import joins, memory
from bench.measure import Round
from bench.scale import Idle, Storm

Rounds = Sequence[Round]
Floors = Mapping[tuple[str, bool], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a run measured."""

    rounds: Rounds
    floors: Floors = field(default_factory=dict)
    idle: Idle | None = None
    storm: Storm | None = None
    joins_ms: Mapping[str, Sequence[float]] = field(default_factory=dict)
    memory: Mapping[str, Sequence[float]] = field(default_factory=dict)


Value = Callable[[Evidence], float | None]
OURS = "sealroute"
JANUS_AS_PACKAGED = ("janus-videoroom-ev0", "janus-streaming-ev0")
JANUS_AT_ITS_BEST = (
    "janus-videoroom-ev1",
    "janus-videoroom-ev2",
    "janus-streaming-ev1",
    "janus-streaming-ev2",
)


@dataclass(frozen=True, slots=True)
class Target:
    """`value` of what was measured, None when a part of it was not; more is better where `at_least`
    says so."""

    text: str
    value: Value
    must: float | None
    goal: float
    at_least: bool = False
    unit: str = "x"

    def verdict(self, value: float | None) -> str:
        if value is None:
            return "not measured"
        for bound, word in ((self.goal, "goal"), (self.must, "must")):
            if bound is None:
                continue
            if (value >= bound) if self.at_least else (value <= bound):
                return word
        return "MISSED" if self.must is not None else "below the goal"


def _of(rounds: Rounds, scenario: str, server: str, field: str) -> float | None:
    found = [getattr(r, field) for r in rounds if (r.scenario, r.server) == (scenario, server)]
    return float(median(found)) if found else None


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _best(rounds: Rounds, scenario: str, peers: Sequence[str], field: str) -> float | None:
    found = [_of(rounds, scenario, peer, field) for peer in peers]
    return min((value for value in found if value is not None), default=None)


def _times_cheaper(scenario: str, peers: Sequence[str]) -> Value:
    """The cheapest of these peers against us."""

    def value(found: Evidence) -> float | None:
        ours = _of(found.rounds, scenario, OURS, "gross_us")
        return _ratio(_best(found.rounds, scenario, peers, "gross_us"), ours)

    return value


def _over_floor(scenario: str) -> Value:
    def value(found: Evidence) -> float | None:
        costs = found.floors.get((scenario, False))
        ours = _of(found.rounds, scenario, OURS, "gross_us")
        return _ratio(ours, median(costs) if costs else None)

    return value


def _late(found: Evidence) -> float | None:
    """p99 of the added delay, ours with a blocked loop, against Janus's best without one."""
    ours = _of(found.rounds, "1-50-slow", "sealroute-blocked", "p99_us")
    every = JANUS_AS_PACKAGED + JANUS_AT_ITS_BEST
    return _ratio(ours, _best(found.rounds, "1-50-slow", every, "p99_us"))


def _growth(found: Evidence) -> float | None:
    many = _of(found.rounds, "1-500-frames", OURS, "gross_us")
    return _ratio(many, _of(found.rounds, "1-50-frames", OURS, "gross_us"))


def _own(scenario: str, name: str, factor: float = 1.0) -> Value:
    def value(found: Evidence) -> float | None:
        own = _of(found.rounds, scenario, OURS, name)
        return None if own is None else own * factor

    return value


def _storm(of: Callable[[Storm], float]) -> Value:
    return lambda found: None if found.storm is None else of(found.storm)


def _idle_server(found: Evidence) -> float | None:
    return None if found.idle is None else found.idle.rss_before_bytes / 1e6


def _middle(found: Mapping[str, Sequence[float]], name: str) -> float | None:
    values = found.get(name)
    return float(median(values)) if values else None


_KIB = 1 / 1_024


def _most_memory(found: Evidence) -> float | None:
    """Of a server's first rounds: later ones fill again what earlier ones left."""
    viewers = [r for r in found.rounds if r.server == OURS and r.scenario.startswith("1-50")]
    return max((r.rss_per_receiver_bytes * _KIB for r in viewers), default=None)


TARGETS = (
    Target(
        "1-50 paced: Janus at its best costs",
        _times_cheaper("1-50", JANUS_AT_ITS_BEST),
        3,
        4,
        at_least=True,
    ),
    Target(
        "1-50 paced: Janus as packaged costs",
        _times_cheaper("1-50", JANUS_AS_PACKAGED),
        6,
        8,
        at_least=True,
    ),
    Target(
        "1-50 bursts: Janus at its best costs",
        _times_cheaper("1-50-bursts", JANUS_AT_ITS_BEST),
        2.7,
        3.5,
        at_least=True,
    ),
    Target(
        "10-10 bursts: Janus at its best costs",
        _times_cheaper("10-10-bursts", JANUS_AT_ITS_BEST),
        2.5,
        3,
        at_least=True,
    ),
    Target("1-50 paced against the sends without crypto", _over_floor("1-50"), 1.6, 1.3),
    Target("p99 delay, loop blocked, against Janus's best", _late, 1 / 3, 1 / 4),
    Target("cost of a packet at 500 viewers against 50", _growth, 1.3, 1.1),
    Target(
        "idle with 50 silent viewers", _own("1-50", "idle_share", 100), 1, 0.3, unit="% of a core"
    ),
    Target(
        "memory for each viewer, at most",
        _most_memory,
        256,
        64,
        unit="KiB",
    ),
    Target(
        "memory of each further viewer",
        lambda found: _middle(found.memory, memory.VIEWER),
        64,
        40,
        unit="KiB",
    ),
    Target("CPU of a join (1-50)", _own("1-50", "join_cpu_ms"), 3, 2.2, unit="ms"),
    Target(
        "CPU of a join, without callbacks",
        lambda found: _middle(found.joins_ms, joins.WITHOUT),
        3,
        2.2,
        unit="ms",
    ),
    Target(
        "CPU of a join, all events delivered",
        lambda found: _middle(found.joins_ms, joins.WITH),
        3.3,
        2.6,
        unit="ms",
    ),
    Target("memory of an idle server", _idle_server, 80, 62, unit="MB"),
    Target(
        "the same after a first start",
        lambda found: _middle(found.memory, memory.FIRST_START),
        80,
        62,
        unit="MB",
    ),
    Target("500 joins in 5 s: failed", _storm(lambda one: one.failed), 0, 0, unit="joins"),
    Target(
        "the same: p99 delay of those already in, against before",
        _storm(lambda one: one.stormy_p99_us / max(one.quiet_p99_us, 1.0)),
        2,
        2,
    ),
    Target(
        "the same: p95 of the time to connect", _storm(lambda one: one.p95_s), None, 1.5, unit="s"
    ),
)


def _bound(target: Target, value: float | None) -> str:
    return "-" if value is None else f"{'≥' if target.at_least else '≤'} {value:.2g}"


def table(found: Evidence) -> str:
    lines = ["| what | measured | must | goal | reached |", "|---|---|---|---|---|"]
    for target in TARGETS:
        value = target.value(found)
        shown = "-" if value is None else f"{value:.2f} {target.unit}"
        lines.append(
            f"| {target.text} | {shown} | {_bound(target, target.must)} "
            f"| {_bound(target, target.goal)} "
            f"| {target.verdict(value)} |"
        )
    return "\n".join(lines)
