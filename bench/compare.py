"""`python -m bench.compare`: Sealroute and the peers found here, with the same clients and load."""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from bench import loadgen, namespace, report, targets
from bench.adapters import Adapter, UnavailableError
from bench.adapters.janus import JanusAdapter
from bench.adapters.janus import install as install_janus
from bench.adapters.livekit import LivekitAdapter
from bench.adapters.mediasoup import MediasoupAdapter
from bench.adapters.sealroute import SealrouteAdapter
from bench.forwarding import FloorCosts, add_floors
from bench.loadgen import LoadError, Timing
from bench.measure import Round, machine, measure
from bench.peer import LEGACY
from bench.scenarios import EVERYTHING, QUICK, SCENARIOS

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
PLOT = Path(__file__).resolve().parent / "results" / "compare.svg"


_INTRODUCTION = """Written by `python -m bench.compare`. Medians (least..most) over interleaved
rounds; CPU is user and system time of all processes of the server, per forwarded packet; net leaves
out what the joined, silent session costs. Ratios are taken round by round. Machine: {host}."""


def adapters(*, quick: bool) -> list[Adapter]:
    peers: list[Adapter] = [SealrouteAdapter(), JanusAdapter("videoroom", 0)]
    peers += [JanusAdapter("videoroom", 2)]
    if not quick:
        peers += [SealrouteAdapter(profiles=LEGACY), SealrouteAdapter(blocked=True)]
        peers += [JanusAdapter("videoroom", 1)]
        peers += [JanusAdapter("streaming", loops) for loops in (0, 1, 2)]
    return [*peers, LivekitAdapter(), MediasoupAdapter()]


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few scenarios, short windows")
    parser.add_argument("--scenario", action="append", choices=sorted(SCENARIOS))
    parser.add_argument("--server", action="append", help="only servers of these names")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--no-results", action="store_true", help="leave RESULTS.md as it is")
    return parser.parse_args(words)


async def _started(all_of_them: Iterable[Adapter]) -> list[Adapter]:
    running = []
    for adapter in all_of_them:
        try:
            await adapter.start()
        except UnavailableError as error:
            print(f"SKIPPED {adapter.name}: {error}", file=sys.stderr)
            with contextlib.suppress(ProcessLookupError):
                await adapter.stop()
        else:
            running.append(adapter)
    return running


def document(rounds: list[Round], floors: FloorCosts) -> str:
    host = ", ".join(f"{name}: {value}" for name, value in machine().items())
    return "\n\n".join(
        [
            "# Benchmark results",
            _INTRODUCTION.format(host=host),
            "## Targets",
            targets.table(rounds, floors),
            "## Rounds",
            report.rounds_table(rounds),
            "## Ratios",
            report.ratio_table(rounds),
            "## Against the same sends without crypto",
            report.floor_table(rounds, floors),
            "![CPU per packet](results/compare.svg)\n",
        ]
    )


async def prepare() -> None:
    """What needs a network, which the namespace has not. A peer that can not be had is skipped
    later, and loudly."""
    os.environ["BENCH_LOADGEN"] = str(await loadgen.build())
    with contextlib.suppress(UnavailableError):
        await install_janus()


async def work(options: argparse.Namespace) -> int:
    binary = await loadgen.build()
    names = options.scenario or list(QUICK if options.quick else EVERYTHING)
    seconds = options.seconds or (3.0 if options.quick else 10.0)
    rounds_wanted = options.rounds or (1 if options.quick else 5)
    timing = Timing(silent_s=1.0 if options.quick else 3.0, window_s=seconds)
    wanted = [
        one
        for one in adapters(quick=options.quick and not options.server)
        if not options.server or one.name in options.server
    ]
    rounds: list[Round] = []
    floors: FloorCosts = {}
    running = await _started(wanted)
    try:
        for name in names:
            for number in range(rounds_wanted):
                for adapter in (one for one in running if one.supports(SCENARIOS[name])):
                    print(f"{name}, round {number + 1}: {adapter.name}", file=sys.stderr)
                    try:
                        rounds.append(await measure(adapter, SCENARIOS[name], timing, binary))
                    except (LoadError, UnavailableError, TimeoutError) as error:
                        print(f"FAILED {name} {adapter.name}: {error}", file=sys.stderr)
                await add_floors(floors, binary, name, seconds)
    finally:
        for adapter in running:
            await adapter.stop()
    report.write_raw(
        "compare",
        {
            "unix_s": int(time.time()),
            "machine": machine(),
            "rounds": [one.as_json() for one in rounds],
            "floors": [[name, segmented, costs] for (name, segmented), costs in floors.items()],
        },
    )
    text = document(rounds, floors)
    print(text)
    if not options.no_results:
        RESULTS.write_text(text)
        PLOT.write_text(report.plot(rounds))
    return 0 if rounds else 2


def main() -> int:
    options = arguments()
    try:
        if not namespace.is_inside():
            asyncio.run(prepare())
        namespace.enter("bench.compare")
        return asyncio.run(work(options))
    except LoadError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
