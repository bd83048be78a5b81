"""tests/egress/README.md names tests that are there, and `make test-egress` plays all of them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROWS = re.findall(
    r"^\| (\d+) \| (.*)\|$", (ROOT / "tests/egress/README.md").read_text(), re.MULTILINE
)
NAMED = sorted({name for _, row in ROWS for name in re.findall(r"`(tests/[^`]+)`", row)})


def played():
    """The paths of the target."""
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    found = re.search(r"^EGRESS_TESTS := (.+)$", text, re.MULTILINE)
    return found[1].split()


def test_there_is_a_row_for_each_thing_that_must_be_shown():
    assert [int(number) for number, _ in ROWS] == list(range(1, 20))


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_is_named_is_there_and_is_played(name):
    path, _, function = name.partition("::")
    assert (ROOT / path).exists()
    if function:
        assert re.search(rf"^(async )?def {function}\(", (ROOT / path).read_text(), re.MULTILINE)
    assert any(path == one or path.startswith(one + "/") for one in played())


def test_what_is_played_is_there():
    assert [one for one in played() if not (ROOT / one).exists()] == []
