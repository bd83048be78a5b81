"""The audit record of commands: one JSON line each in `audit.log` in the data folder, because a
command has no log of its own.

A line names the command, its options, its subject and the user: never the value of an option, and
no credential.
"""

import argparse
import json
import os
import pwd
from datetime import UTC, datetime
from pathlib import Path

from signaling.clock import Clock

RECORD_FILE = "audit.log"
CHANGING = frozenset(
    {
        "project create",
        "project update",
        "project rotate",
        "project retire-key",
        "project storage",
        "project remove",
        "operator add",
        "operator remove",
        "storage restore",
        "storage reseal",
        "callbacks add",
        "callbacks remove",
        "callbacks secret",
        "callbacks retry",
        "session create",
        "token",
    }
)
"""Commands that change something or print a credential."""
_ABOUT = ("api_key", "name", "project")
_SHARED = frozenset({"run", "words", "json", "data_dir", "config"})


def record(arguments: argparse.Namespace, data_dir: Path, clock: Clock, outcome: str) -> None:
    """Appends a line for a command of `CHANGING`; `outcome` is `done` or the code of a failure.

    Errors: `OSError` when the file cannot be written.
    """
    about = (getattr(arguments, name, None) for name in _ABOUT)
    line = {
        "event": "administered",
        "at": datetime.fromtimestamp(clock.unix_s(), UTC).isoformat(timespec="seconds"),
        "operator": f"shell:{_user()}",
        "command": arguments.words,
        "about": next(filter(None, about), None),
        "options": sorted(_given(arguments)),
        "outcome": outcome,
    }
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with os.fdopen(os.open(data_dir / RECORD_FILE, flags, 0o600), "a") as file:
        file.write(json.dumps(line) + "\n")


def _given(arguments: argparse.Namespace) -> list[str]:
    members = vars(arguments).items()
    return [
        name
        for name, value in members
        if name not in _SHARED and value is not None and value is not False
    ]


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
