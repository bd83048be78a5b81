"""What the server declares to need is what it imports: each package more is weight in the image
and one more to keep up to date."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("config", "member", "sfu", "signaling")
OPTIONAL = {"sealroute-client", "numpy"}
"""Of the doctor's test call, which says what to install where they are missing."""
OF_THE_CALL = {"aiortc"}
"""What the doctor's test call runs on, through the Python SDK."""
BY_NAME = {"psycopg"}
"""SQLAlchemy imports the driver that the address of the database names."""


def distribution(requirement: str) -> str:
    """The normalized name (PEP 503), without extras and versions."""
    name = re.match(r"[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def imported_names() -> set[str]:
    names = set()
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    names |= {one.name.partition(".")[0] for one in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module.partition(".")[0])
    return names - set(ROOMS) - set(sys.stdlib_module_names)


def test_the_server_declares_what_it_imports_and_nothing_else():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    homes = packages_distributions()
    imported = {distribution(home) for name in imported_names() for home in homes.get(name, [name])}
    needed = {distribution(line) for line in project["dependencies"]}
    of_features = {distribution(line) for line in project["optional-dependencies"]["egress"]}
    assert of_features - imported == set()
    imported -= of_features
    assert needed - imported - BY_NAME - OF_THE_CALL == set()
    assert imported - needed - OPTIONAL == set()
