"""What we aim at, and whether these rounds get there. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.measure import Round

Rounds = Sequence[Round]
Floors = Mapping[tuple[str, bool], Sequence[float]]
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
    value: Callable[[Rounds, Floors], float | None]
    must: float
    goal: float
    at_least: bool = False
    unit: str = "x"

    def verdict(self, value: float | None) -> str:
        if value is None:
            return "not measured"
        for bound, word in ((self.goal, "goal"), (self.must, "must")):
            if (value >= bound) if self.at_least else (value <= bound):
                return word
        return "MISSED"


def _of(rounds: Rounds, scenario: str, server: str, field: str) -> float | None:
    found = [getattr(r, field) for r in rounds if (r.scenario, r.server) == (scenario, server)]
    return float(median(found)) if found else None


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _best(rounds: Rounds, scenario: str, peers: Sequence[str], field: str) -> float | None:
    found = [_of(rounds, scenario, peer, field) for peer in peers]
    return min((value for value in found if value is not None), default=None)


def _times_cheaper(scenario: str, peers: Sequence[str]) -> Callable[[Rounds, Floors], float | None]:
    """The cheapest of these peers against us."""

    def value(rounds: Rounds, _: Floors) -> float | None:
        ours = _of(rounds, scenario, OURS, "gross_us")
        return _ratio(_best(rounds, scenario, peers, "gross_us"), ours)

    return value


def _over_floor(scenario: str) -> Callable[[Rounds, Floors], float | None]:
    def value(rounds: Rounds, floors: Floors) -> float | None:
        costs = floors.get((scenario, False))
        ours = _of(rounds, scenario, OURS, "gross_us")
        return _ratio(ours, median(costs) if costs else None)

    return value


def _late(rounds: Rounds, _: Floors) -> float | None:
    """p99 of the added delay, ours with a blocked loop, against Janus's best without one."""
    ours = _of(rounds, "1-50-slow", "sealroute-blocked", "p99_us")
    every = JANUS_AS_PACKAGED + JANUS_AT_ITS_BEST
    return _ratio(ours, _best(rounds, "1-50-slow", every, "p99_us"))


def _growth(rounds: Rounds, _: Floors) -> float | None:
    many = _of(rounds, "1-500-frames", OURS, "gross_us")
    return _ratio(many, _of(rounds, "1-50-frames", OURS, "gross_us"))


def _own(
    scenario: str, field: str, factor: float = 1.0
) -> Callable[[Rounds, Floors], float | None]:
    def value(rounds: Rounds, _: Floors) -> float | None:
        found = _of(rounds, scenario, OURS, field)
        return None if found is None else found * factor

    return value


_KIB = 1 / 1_024
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
        "memory for each of 200 viewers",
        _own("1-200", "rss_per_receiver_bytes", _KIB),
        256,
        64,
        unit="KiB",
    ),
    Target("CPU of a join (1-50)", _own("1-50", "join_cpu_ms"), 4, 2, unit="ms"),
)


def table(rounds: Rounds, floors: Floors) -> str:
    lines = ["| what | measured | must | goal | reached |", "|---|---|---|---|---|"]
    for target in TARGETS:
        value = target.value(rounds, floors)
        sign = "≥" if target.at_least else "≤"
        shown = "-" if value is None else f"{value:.2f} {target.unit}"
        lines.append(
            f"| {target.text} | {shown} | {sign} {target.must:.2g} | {sign} {target.goal:.2g} "
            f"| {target.verdict(value)} |"
        )
    return "\n".join(lines)
