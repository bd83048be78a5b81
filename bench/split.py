"""`python -m bench.split`: what one session costs on two workers, against the same on one.

Rounds of both take turns on one machine, so read the ratios. All CPU is of the server's processes.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench import loadgen, report
from bench.adapters import UnavailableError
from bench.adapters.sealroute import SealrouteAdapter
from bench.ending import run_program
from bench.loadgen import LoadError, Timing
from bench.measure import Round, machine, measure
from bench.scenarios import SCENARIOS

PAGE = Path(__file__).resolve().parent / "CLUSTER.md"
ONE, TWO = "one worker", "two workers"
MUST: Mapping[str, tuple[float, float]] = {"1-50": (1.30, 1.15), "1-500": (1.08, 1.04)}
"""CPU of two workers by that of one: the bound, and the goal."""


def knobs(workers: int, viewers: int) -> dict[str, str]:
    """Settings of the server: with two workers each gets half of the viewers, however idle."""
    return {
        "SEALROUTE_MEDIA_WORKERS": str(workers),
        "SEALROUTE_MEDIA_SPLIT_LOAD": "0",
        "SEALROUTE_MEDIA_SPLIT_SINKS": str(viewers // 2),
    }


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


async def one_round(workers: int, name: str, timing: Timing, binary: Path) -> Round:
    with environment(knobs(workers, SCENARIOS[name].receivers)):
        adapter = SealrouteAdapter()
        try:
            await adapter.start()
            return await measure(adapter, SCENARIOS[name], timing, binary)
        finally:
            await adapter.stop()


def ratios(found: Mapping[str, list[Round]]) -> list[float]:
    """Of neighbours in time: the machine does other things too."""
    pairs = zip(found[TWO], found[ONE], strict=True)
    return [two.gross_us / one.gross_us for two, one in pairs]


def page(found: Mapping[str, Mapping[str, list[Round]]], about: str) -> str:
    rows = []
    for name, rounds in found.items():
        times = ratios(rounds)
        bound, goal = MUST[name]
        rows.append(
            (
                name,
                *(report.cell([one.gross_us for one in rounds[of]]) for of in (ONE, TWO)),
                report.cell(times),
                f"{bound:.2f}, {goal:.2f}",
                f"{2 / median(times):.2f}",
                *(report.cell([one.p99_us for one in rounds[of]], 0) for of in (ONE, TWO)),
                str(sum(one.lost + one.corrupt for of in rounds.values() for one in of)),
            )
        )
    head = (
        *("session", "us/packet, one", "two", "two / one", "must, goal", "room, x"),
        *("p99 us, one", "two", "lost or wrong"),
    )
    return f"""# One session on two workers

`make bench-cluster` wrote this: {about}.
Rounds of one and of two workers took turns; with two, half of the viewers were on each, and the
stream crossed the ring between them. CPU is of the whole server, for each forwarded packet. *Room*
is what two full cores forward of such a session against one, by the ratio of their cost.

{report.table(head, rows)}
"""


async def work(options: argparse.Namespace) -> int:
    binary = await loadgen.build()
    timing = Timing(silent_s=1.0, warm_s=2.0, window_s=options.seconds)
    found: dict[str, dict[str, list[Round]]] = {}
    for name in options.scenario or MUST:
        rounds = found.setdefault(name, {ONE: [], TWO: []})
        for number in range(options.rounds):
            for workers, of in ((1, ONE), (2, TWO)):
                print(f"{name}, round {number + 1} of {options.rounds}: {of}", file=sys.stderr)
                rounds[of].append(await one_round(workers, name, timing, binary))
    raw = {
        "unix_s": int(time.time()),
        "machine": machine(),
        "rounds": {
            name: {of: [one.as_json() for one in some] for of, some in rounds.items()}
            for name, rounds in found.items()
        },
    }
    report.write_raw("split", raw)
    about = f"{options.rounds} rounds of {options.seconds:g} s, {machine()['cpu']}"
    text = page(found, about)
    if options.write:
        PAGE.write_text(text)
    print(text)
    every = [one for rounds in found.values() for some in rounds.values() for one in some]
    return 1 if any(one.lost or one.corrupt for one in every) else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.split", description=__doc__)
    parser.add_argument("--scenario", action="append", choices=sorted(MUST))
    parser.add_argument("--seconds", type=float, default=6.0, help="measured window")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    try:
        return asyncio.run(work(parser.parse_args()))
    except (UnavailableError, LoadError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    run_program(main)
