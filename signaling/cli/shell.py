"""Services of the command line for its commands."""

import argparse
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from config.load import ConfigurationError
from config.settings import Settings
from signaling.clock import Clock
from signaling.storage.base import Store

Adder = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
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
