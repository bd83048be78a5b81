"""`python -m tests.cluster.sim 0 100000`: plays these seeds and names those that fail; with one
number that seed alone."""

import sys

from tests.cluster.sim.parts import Violation
from tests.cluster.sim.runs import run


def main() -> int:
    numbers = [int(word) for word in sys.argv[1:]] or [0, 2_000]
    first, end = numbers if len(numbers) == 2 else (numbers[0], numbers[0] + 1)
    failed = 0
    for seed in range(first, end):
        try:
            run(seed)
        except Violation as violation:
            failed += 1
            sys.stdout.write(f"seed {seed}: {violation}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{end - first:,} seeds, {failed:,} violations\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
