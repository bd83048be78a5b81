"""`python -m bench.forwarding`: what Sealroute spends per forwarded packet, and what it loses."""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

from bench import loadgen, report
from bench.adapters import UnavailableError
from bench.adapters.sealroute import Credentials, SealrouteAdapter
from bench.ending import run_program
from bench.loadgen import LoadError, Timing
from bench.measure import Round, machine, measure
from bench.peer import GCM, LEGACY
from bench.scenarios import FORWARDING, SCENARIOS

FloorCosts = dict[tuple[str, bool], list[float]]


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.forwarding",
        description=__doc__,
        epilog="Attaching needs --url and --pid, and BENCH_API_KEY and BENCH_API_SECRET.",
    )
    parser.add_argument(
        "--scenario", action="append", choices=sorted(SCENARIOS), help="again for more"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="measured window")
    parser.add_argument("--silent", type=float, default=2.0, help="idle before it, seconds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--legacy", action="store_true", help="AES_CM_128_HMAC_SHA1_80")
    parser.add_argument("--url", help="attach to a running server")
    parser.add_argument("--pid", type=int, help="its process id")
    parser.add_argument("--no-floor", action="store_true", help="skip the sends without crypto")
    parser.add_argument("--name", default="forwarding", help="of the raw data's file")
    return parser.parse_args(words)


def adapter_of(options: argparse.Namespace) -> SealrouteAdapter:
    profiles = LEGACY if options.legacy else GCM
    if options.url is None and options.pid is None:
        return SealrouteAdapter(profiles=profiles)
    key, secret = os.environ.get("BENCH_API_KEY"), os.environ.get("BENCH_API_SECRET")
    if options.url is None or options.pid is None or key is None or secret is None:
        raise SystemExit("attaching needs --url, --pid, BENCH_API_KEY and BENCH_API_SECRET")
    return SealrouteAdapter(
        profiles=profiles, url=options.url, pid=options.pid, credentials=Credentials(key, secret)
    )


async def add_floors(floors: FloorCosts, binary: Path, name: str, seconds: float) -> None:
    scenario = SCENARIOS[name]
    for segmented in (False, True):
        if segmented and scenario.burst == 1:
            continue
        found = await loadgen.floor(binary, scenario, min(seconds, 5.0), segmented=segmented)
        floors.setdefault((name, segmented), []).append(found["cpu_us_per_packet"])


async def work(options: argparse.Namespace) -> int:
    binary = await loadgen.build()
    adapter = adapter_of(options)
    timing = Timing(silent_s=options.silent, window_s=options.seconds)
    names = options.scenario or list(FORWARDING)
    rounds: list[Round] = []
    floors: FloorCosts = {}
    try:
        await adapter.start()
        for number in range(options.rounds):
            for name in names:
                print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
                rounds.append(await measure(adapter, SCENARIOS[name], timing, binary))
                if not options.no_floor:
                    await add_floors(floors, binary, name, options.seconds)
    finally:
        await adapter.stop()
    raw = {
        "unix_s": int(time.time()),
        "machine": machine(),
        "rounds": [one.as_json() for one in rounds],
        "floors": [
            {"scenario": name, "segmented": segmented, "cpu_us_per_packet": costs}
            for (name, segmented), costs in floors.items()
        ],
    }
    path = report.write_raw(options.name, raw)
    print(report.rounds_table(rounds))
    if floors:
        print(f"\n{report.floor_table(rounds, floors)}")
    print(
        f"\nRaw data: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}"
    )
    return 1 if any(one.lost or one.corrupt for one in rounds) else 0


def main() -> int:
    try:
        return asyncio.run(work(arguments()))
    except (UnavailableError, LoadError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    run_program(main)
