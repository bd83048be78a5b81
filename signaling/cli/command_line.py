"""The command line, `sealroute`: the server, and the commands of its operators.

A command loads what it needs, not what the others do: the table says which module has it.
"""

import argparse
import asyncio
import importlib
import json
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from config.load import PREFIX, SHORT_NAMES, ConfigurationError, Value, load_settings
from config.settings import Settings
from config.version import version
from signaling.cli.command_record import CHANGING, record
from signaling.cli.shell import (
    Shell,
    UsageError,
    add_command,
    add_common_options,
    printable,
    say,
)
from signaling.clock import SystemClock
from signaling.domain.errors import DomainError
from signaling.storage.folder import FolderEmpty, require_data

if TYPE_CHECKING:
    from signaling.storage.base import Store

ABOUT = (
    "Sealroute is a media server (SFU) for calls with end-to-end encryption: it forwards audio and"
    " video that it cannot decrypt. `serve` runs it; the other commands manage and diagnose it."
)
FIRST = frozenset({"migrate", "project create", "operator add"})
"""Commands that may be the first to write to a data folder; the others need one with data."""
T = TypeVar("T")
CLOCK = SystemClock()
DONE = "done"


class Entry(NamedTuple):
    """A word of the command line, and the module in this folder that has it: a command's has
    `add_options(parser, shell)`, which returns what runs it; a group's has
    `add_commands(add, shell)`."""

    name: str
    text: str
    module: str
    is_group: bool = False


COMMANDS = (
    Entry("serve", "run the server", "serve_command"),
    Entry("migrate", "bring the database's schema up to date", "migrate_command"),
    Entry("project", "projects: API keys and their properties", "project_commands", is_group=True),
    Entry("operator", "operators of the admin API", "operator_commands", is_group=True),
    Entry(
        "storage",
        "the database: backup, restore, sealing key",
        "storage_commands",
        is_group=True,
    ),
    Entry("callbacks", "events posted to applications", "callback_commands", is_group=True),
    Entry("session", "sessions", "session_commands", is_group=True),
    Entry("cluster", "the nodes of a cluster", "cluster_commands", is_group=True),
    Entry("token", "create a client token for a session", "token_command"),
    Entry("health", "check the health of the server with these settings", "health_command"),
    Entry("doctor", "diagnose this machine and suggest fixes", "doctor_command"),
)


def show(arguments: argparse.Namespace, document: object, lines: str) -> None:
    say(json.dumps(document) if arguments.json else lines)


def settings_of(arguments: argparse.Namespace) -> Settings:
    flags: dict[str, Value | None] = {name: getattr(arguments, name, None) for name in SHORT_NAMES}
    file = getattr(arguments, "config", None) or os.environ.get(f"{PREFIX}CONFIG")
    return load_settings(Path(file) if file else None, os.environ, flags)


def with_store(arguments: argparse.Namespace, work: "Callable[[Store], Awaitable[T]]") -> T:
    """Errors: `FolderEmpty`, and those of the store and of `work`."""
    from signaling.storage.choosing import open_store  # noqa: PLC0415 - not every command has one

    storage = settings_of(arguments).storage
    folder = None if storage.url.reveal() else Path(storage.data_dir)
    if folder is not None and arguments.words not in FIRST:
        require_data(folder)

    async def run() -> T:
        store = await open_store(storage)
        try:
            return await work(store)
        finally:
            await store.close()

    done = asyncio.run(run())
    if folder is not None and arguments.words in FIRST and not arguments.json:
        _note(f"Written to the data folder {folder.absolute()}")
    return done


def build_parser(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """What reads these words: of the other commands it knows the names. Without words: of all."""
    parser = argparse.ArgumentParser(prog="sealroute", description=ABOUT)
    about = f"sealroute {version()} (Python {platform.python_version()})"
    parser.add_argument("--version", action="version", version=about)
    commands = parser.add_subparsers(required=True, metavar="command")
    shell = Shell(CLOCK, settings_of, with_store, show)
    for entry in COMMANDS:
        description = None if entry.is_group else entry.text
        one = commands.add_parser(entry.name, help=entry.text, description=description)
        if words is None or entry.name in words[:1]:
            _fill(one, entry, shell)
    return parser


def _fill(parser: argparse.ArgumentParser, entry: Entry, shell: Shell) -> None:
    module = importlib.import_module(f"{__package__}.{entry.module}")
    if entry.is_group:
        actions = parser.add_subparsers(required=True, metavar="action")
        module.add_commands(partial(add_command, actions), shell)
    else:
        add_common_options(parser)
        parser.set_defaults(run=module.add_options(parser, shell))


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 refused or failed, 2 wrong usage."""
    words = sys.argv[1:] if argv is None else argv
    arguments = build_parser(words).parse_args(words)
    try:
        code = _recorded(arguments)
    except UsageError as failure:
        _fail(arguments, "usage", str(failure))
        return 2
    except ConfigurationError as failure:
        return _fail(arguments, "configuration", str(failure))
    except DomainError as failure:
        return _fail(arguments, failure.code.value, failure.message)
    except OSError as failure:
        return _fail(arguments, "os", reason_of(failure))
    return code


def reason_of(failure: OSError) -> str:
    """With the file, where the system named one."""
    reason = failure.strerror or str(failure)
    return reason if failure.filename is None else f"{failure.filename}: {reason}"


def _recorded(arguments: argparse.Namespace) -> int:
    """Runs the command and records it if it changes something, also after a refusal; where there
    is no data, nothing is written, and a refused command creates no folder."""
    outcome: str | None = "failed"
    try:
        code = int(arguments.run(arguments))
        outcome = DONE if code == 0 else outcome
    except FolderEmpty:
        outcome = None
        raise
    except DomainError as failure:
        outcome = failure.code.value
        raise
    finally:
        if outcome is not None and arguments.words in CHANGING:
            storage = settings_of(arguments).storage
            folder = Path(storage.data_dir)
            if outcome == DONE or storage.url.reveal() or folder.exists():
                record(arguments, folder, CLOCK, outcome)
    return code


def _fail(arguments: argparse.Namespace, code: str, message: str) -> int:
    text = json.dumps({"error": code, "message": message}) if arguments.json else message
    if arguments.json:
        sys.stderr.write(f"{text}\n")
    else:
        _note(f"sealroute: {text}")
    return 1


def _note(text: str) -> None:
    """A line for a person, beside the output."""
    sys.stderr.write(f"{printable(text)}\n")
