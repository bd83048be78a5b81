"""One round of one scenario on one server, and the figures of it."""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import loadgen, processes
from bench.adapters import Adapter
from bench.loadgen import Outcome, Timing
from bench.scenarios import Scenario


@dataclass(frozen=True, slots=True)
class Round:
    """All CPU figures are of the server's processes, user and system together."""

    server: str
    scenario: str
    forwarded: int
    lost: int
    duplicates: int
    corrupt: int
    gross_us: float
    """Per forwarded packet, within the window."""
    net_us: float
    """The same without what the joined, silent session cost in the same time."""
    idle_share: float
    """Of one core, by the joined, silent session."""
    p50_us: float
    p99_us: float
    p999_us: float
    join_cpu_ms: float
    """Per joined client (signaling, ICE, DTLS, session; with media transports)."""
    join_s: float
    """All clients together, as fast as this machine's clients could."""
    connect_p50_ms: float
    connect_p99_ms: float
    """From asking for the streams to keys on the downlink, eight clients at a time."""
    rss_per_receiver_bytes: float
    rss_bytes: int
    latest_us: float
    """How late the load generator was, at worst: large values spoil the delays."""
    raw: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def figures(outcome: Outcome) -> dict[str, float]:
    """CPU per forwarded packet from the clocks at the phases' bounds."""
    window_s = outcome.at_s["measured"] - outcome.at_s["measuring"]
    silent_s = outcome.at_s["warming"] - outcome.at_s["silent"]
    busy_s = outcome.cpu_s["measured"] - outcome.cpu_s["measuring"]
    idle = (outcome.cpu_s["warming"] - outcome.cpu_s["silent"]) / silent_s if silent_s else 0.0
    forwarded = max(1, int(outcome.result["arrived"]))
    return {
        "gross_us": busy_s / forwarded * 1e6,
        "net_us": (busy_s - idle * window_s) / forwarded * 1e6,
        "idle_share": idle,
    }


def _check_flows(outcome: Outcome, scenario: Scenario) -> None:
    """A flow that never began would not be missed in the sums."""
    found = int(outcome.result["flows"])
    if found != scenario.flows:
        raise loadgen.LoadError(f"{scenario.name}: {found} of {scenario.flows} flows carried media")


async def measure(adapter: Adapter, scenario: Scenario, timing: Timing, binary: Path) -> Round:
    """Joins, runs and leaves. Raises `LoadError` and what the adapter raises."""
    pids = adapter.pids()
    rss_before, cpu_before = processes.resident_bytes(pids), processes.cpu_s(pids)
    began_s = time.monotonic()
    try:
        joined = await adapter.join(scenario)
        join_s = time.monotonic() - began_s
        pids = adapter.pids()
        join_cpu_s = processes.cpu_s(pids) - cpu_before
        job = loadgen.load_job(scenario, joined, timing)
        transports = [*(one.transport for one in joined.publishers), *joined.subscribers]
        fds = [one.fd for one in transports]
        outcome = await loadgen.run(binary, job, fds, lambda: processes.cpu_s(pids))
        rss = processes.resident_bytes(pids)
    finally:
        await adapter.leave()
    _check_flows(outcome, scenario)
    result = outcome.result
    delay, seen = result["delay"], result["subscribers"]
    return Round(
        server=adapter.name,
        scenario=scenario.name,
        forwarded=result["arrived"],
        lost=result["expected"] - result["arrived"],
        duplicates=seen["duplicates"],
        corrupt=seen["corrupt"] + seen["transport"]["unauthentic"],
        **figures(outcome),
        p50_us=delay["p50_us"],
        p99_us=delay["p99_us"],
        p999_us=delay["p999_us"],
        join_cpu_ms=join_cpu_s * 1e3 / scenario.clients,
        join_s=join_s,
        connect_p50_ms=quantile(joined.connect_s, 0.5) * 1e3,
        connect_p99_ms=quantile(joined.connect_s, 0.99) * 1e3,
        rss_per_receiver_bytes=max(0, rss - rss_before) / scenario.receivers,
        rss_bytes=rss,
        latest_us=max(one["latest_us"] for one in result["publishers"]),
        raw={"result": result, "cpu_s": outcome.cpu_s, "at_s": outcome.at_s},
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, least and most."""
    return median(values), min(values), max(values)


def machine() -> dict[str, object]:
    """What a reader of the figures must know of where they come from."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": os.uname().release,
        "load_1_min": os.getloadavg()[0],
    }
