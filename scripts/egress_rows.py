"""The tests of one row of tests/egress/README.md, for `make test-egress ROW=11`.

python scripts/egress_rows.py 11
"""

import re
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "tests/egress/README.md"


def rows(page: str) -> dict[int, str]:
    """The cells of each row, by its number."""
    found = re.findall(r"^\| (\d+) \| (.*)\|$", page, re.MULTILINE)
    return {int(number): cells for number, cells in found}


def paths_of(cells: str) -> list[str]:
    """The tests that a row names, as pytest takes them."""
    return re.findall(r"`(tests/[^`]+)`", cells)


def main(arguments: list[str]) -> int:
    known = rows(PAGE.read_text())
    number = int(arguments[0]) if arguments and arguments[0].isdecimal() else 0
    tests = paths_of(known.get(number, ""))
    if not tests:
        with_tests = [str(one) for one, cells in known.items() if paths_of(cells)]
        sys.stderr.write(f"no tests: rows with tests are {', '.join(with_tests)}\n")
        return 1
    sys.stdout.write(" ".join(tests) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
