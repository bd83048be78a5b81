"""`python -m bench.attack`: attacks a server of its own, writes bench/ATTACKS.md."""

import argparse
import asyncio
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from bench import loadgen
from bench.adapters.sealroute import SealrouteAdapter
from bench.attack import report
from bench.attack.scenarios import SCENARIOS, Scenario
from bench.attack.scene import VICTIMS, Scene, media_address
from bench.ending import run_program
from bench.measure import machine
from bench.network.figures import Figure

_REST_S = 1.0
_QUIET_S = 6.0


def _about() -> dict[str, str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=loadgen.ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    about = machine()
    words = f"{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}"
    return {"date": time.strftime("%Y-%m-%d"), "commit": commit, "machine": words}


async def play(scenario: Scenario, binary: Path, seconds: float) -> list[Figure]:
    """On a server of its own, after a quiet call to compare with."""
    adapter = SealrouteAdapter()
    await adapter.start()
    try:
        joined = await adapter.join(VICTIMS)
        media = media_address(joined.publishers[0].transport)
        await adapter.leave()
        scene = Scene(adapter, binary, adapter.url, media, seconds)
        quiet = await replace(scene, seconds=min(seconds, _QUIET_S)).call(None)
        await asyncio.sleep(_REST_S)
        return await scenario.play(scene, quiet)
    finally:
        await adapter.stop()


def _mark(figure: Figure) -> str:
    if figure.holds is None:
        return ""
    return f"({figure.side} {figure.bound:g}: {'pass' if figure.holds else 'FAIL'})"


async def work(options: argparse.Namespace) -> int:
    binary = await loadgen.build()
    chosen = [one for one in SCENARIOS if not options.scenario or one.name in options.scenario]
    failed = 0
    for scenario in chosen:
        print(f"{scenario.name}: {scenario.does}", file=sys.stderr)
        figures = await play(scenario, binary, options.seconds)
        for figure in figures:
            print(f"  {figure.name}: {report.shown(figure.value)} {figure.unit} {_mark(figure)}")
        found = report.as_json(figures, _about())
        failed += not found["passed"]
        if not options.no_write:
            report.write({scenario.name: found})
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.attack", description=__doc__)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--scenario", action="append", choices=names, help="again for more")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each attack")
    parser.add_argument("--no-write", action="store_true", help="leave the results as they are")
    return asyncio.run(work(parser.parse_args()))


if __name__ == "__main__":
    run_program(main)
