"""What the pages tell a reader to type is taken by the programs that it is typed to.

`tests/interop/test_first_day.py` runs the pages of the first day against a server.
"""

import argparse
import re
from collections.abc import Callable
from pathlib import PurePath

import pytest
from sealroute_client import cli

from member import command_line as member
from signaling.cli import command_line
from tests.unit.documents.commands import commands_of, documented
from tests.unit.documents.pages import ROOT, tracked

PARSERS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "sealroute": command_line.build_parser,
    "sealroute-client": cli.parser,
    "sealroute-member": member.parser,
}
FOUND = documented()
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def of(program: str) -> list[tuple[str, list[str]]]:
    return [(page, words[1:]) for page, words in FOUND if PurePath(words[0]).name == program]


def refused(program: str, words: list[str]) -> bool:
    try:
        PARSERS[program]().parse_args(words)
    except SystemExit as end:
        return bool(end.code)
    return False


@pytest.mark.parametrize("program", PARSERS)
def test_a_command_on_a_page_is_one_of_the_program(program, capsys):
    commands = of(program)
    assert len(commands) > 0
    wrong = [
        f"{page}: {program} {' '.join(words)}: {capsys.readouterr().err.splitlines()[-1]}"
        for page, words in commands
        if refused(program, words)
    ]
    assert wrong == []


def test_many_commands_are_looked_at():
    assert len(of("sealroute")) > 40


def test_a_target_of_make_on_a_page_is_one():
    named = {word for _, words in of("make") for word in words if re.fullmatch("[a-z-]+", word)}
    assert named >= {"run", "test"}
    assert named <= TARGETS


def test_a_file_of_the_repository_on_a_page_is_there():
    there = tracked()
    named = {
        part
        for _, words in FOUND
        for word in words
        for part in re.split(r"[:=]", word)
        if re.match(r"deploy/|docker-compose\.", part)
    }
    assert len(named) > 5
    made = {"deploy/secrets", "deploy/secrets/turn-secret"}
    assert {name for name in named - made if name not in there} == set()


def test_a_command_that_is_not_there_is_found():
    block = "X=1 .venv/bin/sealroute projekt create | tee x && sealroute doctor --url $(date)\n"
    found = [words[1:] for words in commands_of(block) if words[0].endswith("sealroute")]
    assert [refused("sealroute", words) for words in found] == [True, False]
    assert refused("sealroute", ["doctor", "--no-such-flag"])


def test_words_of_a_command_are_read_as_a_shell_does():
    block = (
        "sudo cp 'a b' c   # why\n"
        'N=$(sealroute operator add "x y")\n'
        "docker compose exec sealroute sealroute \\\n  doctor\n"
        "cat > f <<END\nno command\nEND\n"
    )
    assert list(commands_of(block)) == [
        ["sealroute", "operator", "add", "x y"],
        ["cp", "a b", "c"],
        ["sealroute", "doctor"],
        ["cat"],
    ]
