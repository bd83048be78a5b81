"""`python -m bench.switches [--switches N] [--seed N]`: prints a table, writes it with --write."""

import argparse
import sys
import time
from pathlib import Path

from bench.ending import run_program
from bench.switches.core import CoreError, build
from bench.switches.plan import plans
from bench.switches.report import row, write
from bench.switches.run import run


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m bench.switches")
    words.add_argument("--switches", type=int, default=10_000, help="for each codec")
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--only", help="codecs, with commas between")
    words.add_argument("--write", action="store_true", help="write bench/SWITCHES.md")
    chosen = words.parse_args()
    failed = False
    rows = []
    try:
        binary = build()
        for plan in plans(chosen.switches, chosen.seed):
            if chosen.only and plan.form not in chosen.only.split(","):
                continue
            began = time.monotonic()
            result = run(plan, binary)
            failed |= not result.passed
            rows.append(result)
            print(f"{row(result)}  {time.monotonic() - began:.0f} s", flush=True)
            for fault in result.faults[:10]:
                print(f"    {fault}", flush=True)
    except CoreError as error:
        print(f"switches: {error}", file=sys.stderr)
        return 2
    if chosen.write and not failed:
        write(Path(__file__).resolve().parent.parent / "SWITCHES.md", rows)
    return int(failed)


if __name__ == "__main__":
    run_program(main)
