"""The commands that the pages tell a reader to type."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tests.unit.documents.pages import every_page

_BLOCK = re.compile(r"^( *)```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_HERE = re.compile(r"<<'?(\w+)'?(.*)\n(?:.*\n)*?\1\n")
_SUBSTITUTION = re.compile(r"\$\(((?:[^()]|\([^()]*\))*)\)")
_ASSIGNMENT = re.compile(r"\w+=")
_INSIDE = (
    ("sudo",),
    ("docker", "compose", "exec", "sealroute"),
    ("kubectl", "--namespace", "sealroute", "exec", "deployment/sealroute", "--"),
)
"""What stands before a command that runs somewhere else, or as somebody else."""


def blocks(page: Path) -> list[str]:
    """The blocks of commands on a page, as a reader copies them."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def commands_of(block: str) -> Iterator[list[str]]:
    """The words of each command, those in `$(…)` too; without variables that are set before it."""
    text = _HERE.sub(r"\2\n", block).replace("\\\n", " ")
    for inner in _SUBSTITUTION.findall(text):
        yield from commands_of(inner)
    for line in _SUBSTITUTION.sub("SUBSTITUTED", text).splitlines():
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
            lexer.whitespace_split = True
            words = list(lexer)
        except ValueError:
            # A quote that a function of the shell ends on another line.
            continue
        yield from _split(words)


def _split(words: list[str]) -> Iterator[list[str]]:
    command: list[str] = []
    is_file = False
    for word in [*words, ";"]:
        if word and set(word) <= set("<>&") and set(word) & set("<>"):
            is_file = True
        elif word and set(word) <= set("|&;"):
            if stripped := _stripped(command):
                yield stripped
            command = []
        elif is_file:
            is_file = False
        else:
            command.append(word)


def _stripped(command: list[str]) -> list[str]:
    while command and (_ASSIGNMENT.match(command[0]) or command[0] == "export"):
        command = command[1:]
    for before in _INSIDE:
        if tuple(command[: len(before)]) == before:
            return _stripped(command[len(before) :])
    return command


def documented() -> list[tuple[str, list[str]]]:
    """Each command with the name of its page."""
    return [
        (page.name, words)
        for page in every_page()
        for block in blocks(page)
        for words in commands_of(block)
    ]
