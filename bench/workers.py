"""`python -m bench.workers`: what a packet costs in two sessions on one worker, and on two."""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from statistics import median

from bench import loadgen, report
from bench.adapters import UnavailableError
from bench.adapters.sealroute import SealrouteAdapter
from bench.ending import run_program
from bench.loadgen import LoadError, Timing
from bench.measure import Round, machine, measure
from bench.scenarios import SCENARIOS

_KNOB = "SEALROUTE_MEDIA_WORKERS"


def shared_cost_us(rounds: list[Round]) -> float:
    """CPU per packet of sessions that ran at the same time: each has counted the whole server."""
    packets = sum(one.forwarded for one in rounds)
    return median(one.gross_us * one.forwarded for one in rounds) / packets


async def both(workers: int, name: str, timing: Timing, binary: Path) -> list[Round]:
    """Two sessions at once on a server with so many workers."""
    os.environ[_KNOB] = str(workers)
    first = SealrouteAdapter()
    try:
        await first.start()
        second = first.attached()
        try:
            await second.start()
            running = (measure(one, SCENARIOS[name], timing, binary) for one in (first, second))
            return list(await asyncio.gather(*running))
        finally:
            await second.stop()
    finally:
        await first.stop()
        del os.environ[_KNOB]


async def work(options: argparse.Namespace) -> int:
    binary = await loadgen.build()
    timing = Timing(silent_s=1.0, warm_s=2.0, window_s=options.seconds)
    found: dict[int, list[list[Round]]] = {1: [], 2: []}
    for number in range(options.rounds):
        for workers, rounds in found.items():
            print(f"round {number + 1} of {options.rounds}: {workers} workers", file=sys.stderr)
            rounds.append(await both(workers, options.scenario, timing, binary))
    everything = [one for rounds in found.values() for pair in rounds for one in pair]
    raw = {
        "unix_s": int(time.time()),
        "machine": machine(),
        "rounds": {
            workers: [[one.as_json() for one in pair] for pair in rounds]
            for workers, rounds in found.items()
        },
    }
    report.write_raw("workers", raw)
    rows = [
        (
            str(workers),
            report.cell([shared_cost_us(pair) for pair in rounds]),
            report.cell([max(one.p99_us for one in pair) for pair in rounds], 0),
            str(sum(one.lost for pair in rounds for one in pair)),
        )
        for workers, rounds in found.items()
    ]
    print(report.table(("workers", "CPU us/packet", "p99 us, the worse session", "lost"), rows))
    return 1 if any(one.lost or one.corrupt for one in everything) else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.workers", description=__doc__)
    parser.add_argument("--scenario", default="1-50", choices=sorted(SCENARIOS))
    parser.add_argument("--seconds", type=float, default=5.0, help="measured window")
    parser.add_argument("--rounds", type=int, default=3)
    try:
        return asyncio.run(work(parser.parse_args()))
    except (UnavailableError, LoadError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    run_program(main)
