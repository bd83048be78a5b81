"""Prints the dependencies pyproject.toml declares, so that set-up can install them alone.

`pip install .` would build the media core as well; the Makefile builds it in a step of its
own, in place and in release mode.
"""

import sys
import tomllib
from pathlib import Path


def main(extra: str | None) -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    sys.stdout.write("\n".join(wanted) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
