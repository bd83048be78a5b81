"""tests/egress/README.md names tests that are there, and `make test-egress` plays all of them."""

import re
from pathlib import Path

import pytest

from scripts.egress_rows import main, paths_of, rows

ROOT = Path(__file__).parents[3]
ROWS = rows((ROOT / "tests/egress/README.md").read_text())
NAMED = sorted({name for cells in ROWS.values() for name in paths_of(cells)})
MAKEFILE = (ROOT / "Makefile").read_text()
MEASURED = 16
"""The row that no test shows."""


def played():
    """The paths of the target."""
    found = re.search(r"^EGRESS_TESTS := (.+)$", MAKEFILE.replace("\\\n", " "), re.MULTILINE)
    return found[1].split()


def test_there_is_a_row_for_each_thing_that_must_be_shown():
    assert list(ROWS) == list(range(1, 20))


@pytest.mark.parametrize("number", ROWS)
def test_each_row_has_the_command_that_shows_it(number, capsys):
    command = ROWS[number].split(" | ")[1]
    if number == MEASURED:
        assert re.search(rf"^{command[6:-1]}:", MAKEFILE, re.MULTILINE)
        assert main([str(number)]) == 1
        return
    assert command == f"`make test-egress ROW={number}`"
    assert main([str(number)]) == 0
    assert capsys.readouterr().out.split() == paths_of(ROWS[number])


@pytest.mark.parametrize("words", [[], ["0"], ["20"], ["x"]])
def test_a_row_that_is_none_names_those_that_are(words, capsys):
    assert main(words) == 1
    assert "1, 2, 3" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_is_named_is_there_and_is_played(name):
    path, _, function = name.partition("::")
    assert (ROOT / path).exists()
    if function:
        assert re.search(rf"^(async )?def {function}\(", (ROOT / path).read_text(), re.MULTILINE)
    assert any(path == one or path.startswith(one + "/") for one in played())


def test_what_is_played_is_there():
    assert [one for one in played() if not (ROOT / one).exists()] == []
