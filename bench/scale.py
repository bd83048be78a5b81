"""`python -m bench.scale`: many idle sessions, and 500 clients who join one room in five s."""

import argparse
import asyncio
import itertools
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import loadgen, processes, report
from bench.adapters import UnavailableError
from bench.adapters.sealroute import SealrouteAdapter
from bench.client import ClientError
from bench.ending import run_program
from bench.loadgen import LoadError, Timing
from bench.measure import machine, quantile
from bench.peer import PeerError
from bench.scenarios import Scenario

PRESENT = Scenario("storm", "video", 1, 50, 50, burst=1)
"""The members of the session before the storm, and their subscriptions."""
_REST_S = 5.0
_CLIENTS_NICE = 10


@dataclass(frozen=True, slots=True)
class Idle:
    """Sessions with one publisher each that sends nothing."""

    sessions: int
    cpu_share: float
    rss_bytes: int
    rss_before_bytes: int

    @property
    def kib_per_session(self) -> float:
        return (self.rss_bytes - self.rss_before_bytes) / self.sessions / 1_024


@dataclass(frozen=True, slots=True)
class Storm:
    """Joins at an even rate; connect times from the first byte of the WebSocket to SRTP keys."""

    joins: int
    failed: int
    took_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    cpu_ms_per_join: float
    quiet_p99_us: float
    """Of those already in, before the storm."""
    stormy_p99_us: float


async def idle(adapter: SealrouteAdapter, binary: Path, sessions: int, seconds: float) -> Idle:
    before = processes.resident_bytes(adapter.pids())
    try:
        publishers = await adapter.join_alone(sessions)
        timing = Timing(silent_s=seconds, warm_s=0.1, window_s=0.5)
        room = Scenario("idle", "audio", sessions, 0, 50)
        job = loadgen.load_job(room, loadgen.Joined((), tuple(publishers)), timing)
        fds = [one.fd for one in publishers]
        outcome = await loadgen.run(binary, job, fds, lambda: processes.cpu_s(adapter.pids()))
        rss = processes.resident_bytes(adapter.pids())
    finally:
        await adapter.leave()
    cpu_s = outcome.cpu_s["warming"] - outcome.cpu_s["silent"]
    took_s = outcome.at_s["warming"] - outcome.at_s["silent"]
    return Idle(sessions, cpu_s / took_s, rss, before)


async def _watched(adapter: SealrouteAdapter, binary: Path, window_s: float, storm: Any) -> Any:  # noqa: ANN401
    """The delay of those in the room over the window, while `storm` runs in it."""
    joined = await adapter.join(PRESENT)
    timing = Timing(silent_s=0.5, warm_s=1.0, window_s=window_s)
    job = loadgen.load_job(PRESENT, joined, timing)
    transports = [*(one.transport for one in joined.publishers), *joined.subscribers]
    running = asyncio.create_task(
        loadgen.run(
            binary,
            job,
            [one.fd for one in transports],
            lambda: processes.cpu_s(adapter.pids()),
        )
    )
    await asyncio.sleep(timing.silent_s + timing.warm_s)
    found = await storm() if storm is not None else None
    outcome = await running
    return outcome.result["delay"]["p99_us"], found


async def storm(adapter: SealrouteAdapter, binary: Path, joins: int, over_s: float) -> Storm:
    took_s: list[float] = []
    failures = itertools.count()

    async def one(delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        began_s = time.monotonic()
        try:
            await adapter.join_late()
        except (ClientError, PeerError, TimeoutError, OSError):
            next(failures)
        else:
            took_s.append(time.monotonic() - began_s)

    async def all_of_them() -> tuple[float, float]:
        # Elsewhere the clients have machines of their own; here they stand behind the server.
        os.setpriority(os.PRIO_PROCESS, 0, _CLIENTS_NICE)
        cpu_s, began_s = processes.cpu_s(adapter.pids()), time.monotonic()
        await asyncio.gather(*(one(n * over_s / joins) for n in range(joins)))
        return processes.cpu_s(adapter.pids()) - cpu_s, time.monotonic() - began_s

    try:
        quiet_us, _ = await _watched(adapter, binary, over_s, None)
        await adapter.leave()
        stormy_us, (cpu_s, whole_s) = await _watched(adapter, binary, over_s * 1.5, all_of_them)
    finally:
        await adapter.leave()
    return Storm(
        joins=joins,
        failed=next(failures),
        took_s=whole_s,
        p50_s=quantile(took_s, 0.5),
        p95_s=quantile(took_s, 0.95),
        p99_s=quantile(took_s, 0.99),
        cpu_ms_per_join=cpu_s * 1e3 / joins,
        quiet_p99_us=quiet_us,
        stormy_p99_us=stormy_us,
    )


def document(found_idle: Idle | None, found_storm: Storm | None) -> str:
    rows = []
    if found_idle is not None:
        rows += [
            ("idle sessions", str(found_idle.sessions)),
            ("CPU of all of them", f"{found_idle.cpu_share * 100:.2f} % of a core"),
            ("memory of the server before", f"{found_idle.rss_before_bytes / 1e6:.0f} MB"),
            ("memory for each session", f"{found_idle.kib_per_session:.0f} KiB"),
        ]
    if found_storm is not None:
        storm = found_storm
        rows += [
            ("joins", f"{storm.joins} in {storm.took_s:.1f} s, {storm.failed} failed"),
            (
                "connect time p50 / p95 / p99",
                f"{storm.p50_s * 1e3:.0f} / {storm.p95_s * 1e3:.0f} / {storm.p99_s * 1e3:.0f} ms",
            ),
            ("server CPU for each join", f"{storm.cpu_ms_per_join:.1f} ms"),
            (
                "p99 delay of those already in, before and during",
                f"{storm.quiet_p99_us:.0f} and {storm.stormy_p99_us:.0f} us",
            ),
        ]
    return report.table(("what", "measured"), rows)


async def work(options: argparse.Namespace) -> int:
    binary = await loadgen.build()
    found_idle = found_storm = None
    adapter = SealrouteAdapter()
    await adapter.start()
    try:
        if "idle" in options.part:
            found_idle = await idle(adapter, binary, options.sessions, options.seconds)
            await asyncio.sleep(_REST_S)
        if "storm" in options.part:
            found_storm = await storm(adapter, binary, options.joins, options.over)
    finally:
        await adapter.stop()
    raw = {
        "unix_s": int(time.time()),
        "machine": machine(),
        "idle": None if found_idle is None else asdict(found_idle),
        "storm": None if found_storm is None else asdict(found_storm),
    }
    report.write_raw("scale", raw)
    print(document(found_idle, found_storm))
    return 1 if found_storm is not None and found_storm.failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--part", action="append", choices=("idle", "storm"))
    parser.add_argument("--sessions", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="of silence")
    parser.add_argument("--joins", type=int, default=500)
    parser.add_argument("--over", type=float, default=5.0, help="seconds")
    options = parser.parse_args()
    options.part = options.part or ["idle", "storm"]
    try:
        return asyncio.run(work(options))
    except (UnavailableError, LoadError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    run_program(main)
