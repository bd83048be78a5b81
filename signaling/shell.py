"""What the command line lends to its commands."""

import argparse
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from config.load import ConfigurationError
from config.settings import Settings
from signaling.clock import Clock
from signaling.domain.errors import BadRequest, ErrorCode
from signaling.storage.base import Store

Adder = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
"""Adds a command: its name, what it does, and the help."""


@dataclass(frozen=True, slots=True)
class Shell:
    """What the command line lends to its commands."""

    clock: Clock
    settings_of: Callable[[argparse.Namespace], Settings]
    with_store: "Callable[[argparse.Namespace, Callable[[Store], Awaitable[object]]], object]"
    show: Callable[[argparse.Namespace, object, str], None]

    def now_ms(self) -> int:
        return int(self.clock.unix_s() * 1000)


def add_showing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--show-secret", action="store_true", help="print the secret into a file or pipe too"
    )


def check_reader(arguments: argparse.Namespace) -> None:
    """Before a secret is made that is printed once: is a person there to read it, or was it asked
    for? What is neither may be a log. Errors: `invalid_parameter`."""
    if not (arguments.json or arguments.show_secret or sys.stdout.isatty()):
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            "Standard output is no terminal, and the secret is printed once: add --show-secret to "
            "print it there, or --json for a program that reads it. Nothing was changed.",
        )


def read_pem(file: str | None) -> str | None:
    """The text of a PEM file. Errors: `ConfigurationError`."""
    if file is None:
        return None
    try:
        return Path(file).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as cause:
        raise ConfigurationError(f"cannot read {file}") from cause
