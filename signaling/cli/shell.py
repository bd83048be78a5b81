"""Services of the command line for its commands."""

import argparse
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from config.load import ConfigurationError
from config.settings import Settings
from signaling.clock import Clock

if TYPE_CHECKING:
    from signaling.storage.base import Store

Run = Callable[[argparse.Namespace], int]
"""What runs a command; it returns the exit code."""
Adder = Callable[[str, Run, str], argparse.ArgumentParser]
"""Adds a command: its name, its function and its help text."""


class UsageError(Exception):
    """The options of a command do not make sense together."""


@dataclass(frozen=True, slots=True)
class Shell:
    """Services of the command line for its commands."""

    clock: Clock
    settings_of: Callable[[argparse.Namespace], Settings]
    with_store: "Callable[[argparse.Namespace, Callable[[Store], Awaitable[object]]], object]"
    show: Callable[[argparse.Namespace, object, str], None]

    def now_ms(self) -> int:
        return int(self.clock.unix_s() * 1000)


def say(text: str) -> None:
    """Prints the output of a command; logs go to standard error."""
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


def printable(text: str) -> str:
    """Names come from other people, and messages from whatever answered at an address: lines, and
    no control characters for a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, run: Run, text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    add_common_options(parser)
    parser.set_defaults(run=run)
    return parser


def add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(words=parser.prog.partition(" ")[2])
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    parser.add_argument("--data-dir", help="folder of the database (default ./data)")
    parser.add_argument("--config", help="TOML file with settings")


def add_listening_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="HTTP address (default 0.0.0.0)")
    parser.add_argument("--port", type=int, help="HTTP port (default 8080; 0: a free one)")
    parser.add_argument("--media-host", help="media address (default 0.0.0.0)")
    parser.add_argument("--media-port", type=int, help="media UDP port (default 10000)")
    parser.add_argument("--public-ip", help="addresses that clients can reach, space-separated")


def read_pem(file: str | None) -> str | None:
    """The text of a PEM file. Errors: `ConfigurationError`."""
    if file is None:
        return None
    try:
        return Path(file).read_text(encoding="ascii")
    except OSError as cause:
        raise ConfigurationError(f"cannot read {file}: {cause.strerror}") from cause
    except UnicodeDecodeError as cause:
        raise ConfigurationError(f"cannot read {file}: it is not a PEM file") from cause


def read_secret(file: str) -> str:
    """The first line of a file, or of the standard input (-): what a command line has, others see.
    Errors: `ConfigurationError`."""
    try:
        text = sys.stdin.readline() if file == "-" else Path(file).read_text(encoding="ascii")
    except OSError as cause:
        raise ConfigurationError(f"cannot read {file}: {cause.strerror}") from cause
    except UnicodeDecodeError as cause:
        raise ConfigurationError(f"cannot read {file}: it is not a secret") from cause
    return text.splitlines()[0].strip() if text.strip() else ""
