"""`python -m bench.before OLD`: this tree against an older built clone of it, in turn, with the
load generator that each tree has of its own."""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench import report
from bench.adapters import UnavailableError
from bench.adapters.sealroute import Served
from bench.ending import run_program
from bench.loadgen import ROOT
from bench.measure import machine
from bench.memory import starts

_INSIDE = Path(__file__).with_name("inside.py")
_COUNT = re.compile(r"^(\w+): (\d+) instructions", re.MULTILINE)
Found = dict[str, list[float]]

_ROWS: tuple[tuple[str, str, int], ...] = (
    ("instructions, paced", "paced", 0),
    ("instructions, bursts", "bursts", 0),
    ("CPU of a join in rooms of 51, ms", "join_ms", 2),
    ("CPU of a join among 500 in 5 s, ms", "storm_join_ms", 2),
    ("p99 delay of those already in, during / before", "storm_ratio", 2),
    ("idle after a first start, MB", "first_mb", 1),
    ("idle after a later start, MB", "later_mb", 1),
    ("memory of a viewer, KiB", "viewer_kib", 0),
)


def _asked(tree: Path, *words: str) -> str:
    """What a command of that tree prints."""
    done = subprocess.run(
        [Served(tree).python, *words], cwd=tree, capture_output=True, text=True, check=False
    )
    if not done.stdout:
        raise UnavailableError(f"{tree}: {done.stderr[-500:]}")
    return done.stdout


def instructions(tree: Path) -> Found:
    """Counted, not timed: once is enough."""
    counts = _COUNT.findall(_asked(tree, "-m", "bench.guard"))
    return {name: [float(count)] for name, count in counts}


def once(tree: Path, found: Found) -> None:
    """One round of all that varies."""
    inside: dict[str, Any] = json.loads(_asked(tree, "-c", _INSIDE.read_text()))
    found["join_ms"] += inside["join_ms"]
    for name in ("viewer_kib", "storm_join_ms"):
        found[name].append(inside[name])
    found["storm_ratio"].append(inside["stormy_p99_us"] / max(1.0, inside["quiet_p99_us"]))
    first, later = starts(tree)
    found["first_mb"].append(first)
    found["later_mb"].append(later)


def measure(trees: Sequence[Path], rounds: int, begun: Callable[[str], object]) -> list[Found]:
    found: list[Found] = [{name: [] for _, name, _ in _ROWS} for _ in trees]
    for tree, one in zip(trees, found, strict=True):
        begun(f"instructions: {tree}")
        one.update(instructions(tree))
    for number in range(rounds):
        pairs = list(zip(trees, found, strict=True))
        for tree, one in pairs if number % 2 == 0 else reversed(pairs):
            begun(f"round {number + 1} of {rounds}: {tree}")
            once(tree, one)
    return found


def table(before: Found, now: Found) -> str:
    rows = []
    for text, name, digits in _ROWS:
        old, new = before[name], now[name]
        ratio = f"{median(new) / median(old):.2f}" if old and new else "-"
        cells = [report.cell(values, digits) if values else "-" for values in (old, new)]
        rows.append((text, *cells, ratio))
    return report.table(("what", "before", "now", "x"), rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.before", description=__doc__)
    parser.add_argument("old", type=Path, help="a built clone of an older commit")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    try:
        before, now = measure(
            [options.old.resolve(), ROOT], options.rounds, lambda text: print(text, file=sys.stderr)
        )
    except UnavailableError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    raw = {"unix_s": int(time.time()), "machine": machine(), "before": before, "now": now}
    report.write_raw("before", raw)
    print(table(before, now))
    return 0


if __name__ == "__main__":
    run_program(main)
