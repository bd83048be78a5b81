"""`python -m bench.network`: plays the scenarios, writes bench/NETWORK.md."""

import argparse
import asyncio
import subprocess
import sys
import time

from bench.ending import run_program
from bench.measure import machine
from bench.network import report
from bench.network.figures import Figure
from bench.network.scenarios import SCENARIOS, Scenario
from bench.network.served import Served
from bench.network.stage import CABLES, Stage
from bench.network.topology import ROOT, Topology, why_impossible


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.network", description=__doc__)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--scenario", action="append", choices=names, help="again for more")
    parser.add_argument("--repeats", type=int, help="instead of each scenario's own number")
    parser.add_argument("--seed", type=int, default=1, help="of the cables")
    parser.add_argument("--no-write", action="store_true", help="leave the results as they are")
    return parser.parse_args()


async def play(scenario: Scenario, seed: int) -> list[Figure]:
    """Once, with namespaces, server and browsers of its own."""
    with Topology(CABLES, seed) as topology:
        served = Served(topology.server)
        stage: Stage | None = None
        try:
            await served.start()
            stage = Stage(topology, served, await served.room())
            async with asyncio.timeout(scenario.limit_s):
                return await scenario.play(stage)
        finally:
            if stage is not None:
                await stage.close()
            await served.stop()


async def run(scenario: Scenario, repeats: int, seed: int) -> report.Run:
    played: list[tuple[Figure, ...]] = []
    error = None
    for number in range(repeats):
        print(f"{scenario.name}, {number + 1} of {repeats}", file=sys.stderr)
        try:
            played.append(tuple(await play(scenario, seed + 1_000 * number)))
        except Exception as problem:  # noqa: BLE001 - the next scenario is worth playing
            error = f"{type(problem).__name__}: {problem}"[:300]
            print(error, file=sys.stderr)
        for figure in played[number] if number < len(played) else ():
            print(f"  {figure.name}: {figure.value:.4g} {figure.unit} {_mark(figure)}")
    return report.Run(scenario.name, tuple(played), error)


def _mark(figure: Figure) -> str:
    if figure.holds is None:
        return ""
    return f"({figure.side} {figure.bound:g}: {'pass' if figure.holds else 'FAIL'})"


def _about() -> dict[str, object]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    about = machine()
    words = f"{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}"
    return {"date": time.strftime("%Y-%m-%d"), "commit": commit, "machine": words}


def main() -> int:
    options = arguments()
    problem = why_impossible()
    if problem is not None:
        print(f"bench-network: {problem}", file=sys.stderr)
        return 2
    chosen = [one for one in SCENARIOS if not options.scenario or one.name in options.scenario]
    runs = []
    for scenario in chosen:
        repeats = options.repeats or scenario.repeats
        runs.append(asyncio.run(run(scenario, repeats, options.seed)))
        if not options.no_write:
            report.write(report.as_json(runs, _about()))
    for one in runs:
        print(f"{'pass' if one.passed else 'FAIL'}  {one.scenario}")
    return 0 if all(one.passed for one in runs) else 1


if __name__ == "__main__":
    run_program(main)
