"""The command line, `sealroute`: the server, and the commands of its operators."""

import argparse
import asyncio
import json
import os
import platform
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from config.load import PREFIX, SHORT_NAMES, ConfigurationError, Value, load_settings
from config.settings import Settings
from config.version import version
from signaling import administration
from signaling.cli import (
    call_doctor,
    callback_commands,
    operator_commands,
    project_commands,
    session_doctor,
    session_list,
    storage_commands,
)
from signaling.cli.call_doctor import CallDoctor, TerminatedError
from signaling.cli.command_record import CHANGING, record
from signaling.cli.doctor import examine
from signaling.cli.findings import exit_code, table
from signaling.cli.health import ALIVE, READY, health_of
from signaling.cli.session_doctor import SessionDoctor
from signaling.cli.session_list import SessionList
from signaling.cli.shell import Adder, Shell, UsageError
from signaling.clock import SystemClock
from signaling.domain.errors import DomainError
from signaling.domain.roles import Role
from signaling.domain.tokens import TokenClaims
from signaling.storage.base import Store
from signaling.storage.choosing import open_store
from signaling.storage.folder import FolderEmpty, require_data

ABOUT = (
    "Sealroute is a media server (SFU) for calls with end-to-end encryption: it forwards audio and"
    " video that it cannot decrypt. `serve` runs it; the other commands manage and diagnose it."
)
FIRST = frozenset({"migrate", "project create", "operator add"})
"""Commands that may be the first to write to a data folder; the others need one with data."""
T = TypeVar("T")
CLOCK = SystemClock()
MIN_TOKEN_S = 1
DAY_S = 86_400
SIGNALED = 128
DONE = "done"
GROUPS = (
    ("project", "projects: API keys and their properties", project_commands.add_commands),
    ("operator", "operators of the admin API", operator_commands.add_commands),
    ("storage", "the database: backup, restore, sealing key", storage_commands.add_commands),
    ("callbacks", "events posted to applications", callback_commands.add_commands),
)


def say(text: str) -> None:
    """Prints the output of a command; logs go to standard error."""
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


def printable(text: str) -> str:
    """Names come from other people, and messages from whatever answered at an address: lines, and
    no control characters for a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def show(arguments: argparse.Namespace, document: object, lines: str) -> None:
    say(json.dumps(document) if arguments.json else lines)


def settings_of(arguments: argparse.Namespace) -> Settings:
    flags: dict[str, Value | None] = {name: getattr(arguments, name, None) for name in SHORT_NAMES}
    file = getattr(arguments, "config", None) or os.environ.get(f"{PREFIX}CONFIG")
    return load_settings(Path(file) if file else None, os.environ, flags)


def with_store(arguments: argparse.Namespace, work: Callable[[Store], Awaitable[T]]) -> T:
    """Errors: `FolderEmpty`, and those of the store and of `work`."""
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


def serve(arguments: argparse.Namespace) -> int:
    import uvloop  # noqa: PLC0415 - the other commands do not need it

    from signaling.server import run_server  # noqa: PLC0415 - nor the media core

    settings = settings_of(arguments)
    _allow_many_descriptors()
    return uvloop.run(run_server(settings, say, as_json=arguments.json))


def _allow_many_descriptors() -> None:
    """Raises the limit of file descriptors to the system's maximum: each client needs one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def migrate(arguments: argparse.Namespace) -> int:
    """Runs the migrations, by opening the store."""

    async def nothing(_store: Store) -> None:
        return None

    with_store(arguments, nothing)
    show(arguments, {"migrated": True}, "The schema is up to date.")
    return 0


def session_create(arguments: argparse.Namespace) -> int:
    fields: dict[str, object] = {
        "e2ee": arguments.e2ee,
        "p2p.preference": arguments.media_mode,
        "archiveMode": arguments.archive_mode,
        "location": arguments.location,
    }
    record = with_store(
        arguments,
        lambda store: administration.create_session(store, CLOCK, arguments.api_key, fields),
    )
    document = {"sessionId": record.session_id, "e2ee": record.options.e2ee}
    show(arguments, document, record.session_id)
    return 0


def token(arguments: argparse.Namespace) -> int:
    claims = TokenClaims(
        session_id=arguments.session,
        role=Role(arguments.role),
        expires_s=int(time.time()) + arguments.expires_in,
        connection_data=arguments.data or "",
    )
    made = with_store(arguments, lambda store: administration.create_token(store, CLOCK, claims))
    show(arguments, {"token": made}, made)
    return 0


def health(arguments: argparse.Namespace) -> int:
    found = health_of(settings_of(arguments).http, READY if arguments.ready else ALIVE)
    show(arguments, {"good": found.good, "detail": found.detail}, found.detail)
    return 0 if found.good else 1


def doctor(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    url = call_doctor.url_of(arguments, settings)
    # Without --url it looks for the server itself, and does not take a silent one for a fault.
    findings = examine(settings, url if arguments.url else None)
    if arguments.call and url is not None:
        try:
            findings += CallDoctor(_shell()).findings(arguments, url)
        except KeyboardInterrupt:
            return SIGNALED + signal.SIGINT
        except TerminatedError:
            return SIGNALED + signal.SIGTERM
    show(arguments, [finding.as_dict() for finding in findings], table(findings))
    return exit_code(findings)


def _lifetime(text: str) -> int:
    seconds = int(text)
    if not MIN_TOKEN_S <= seconds <= 30 * DAY_S:
        raise argparse.ArgumentTypeError("from 1 second to 30 days")
    return seconds


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sealroute", description=ABOUT)
    about = f"sealroute {version()} (Python {platform.python_version()})"
    parser.add_argument("--version", action="version", version=about)
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_serve(commands)
    _add(commands, "migrate", migrate, "bring the database's schema up to date")
    for name, text, add_commands in GROUPS:
        _add_group(commands, name, text, add_commands)
    _add_sessions(commands)
    probe = _add(commands, "health", health, "check the health of the server with these settings")
    probe.add_argument("--ready", action="store_true", help="whether it accepts new clients")
    probe.add_argument("--host", help="HTTP address (default 0.0.0.0)")
    probe.add_argument("--port", type=int, help="HTTP port (default 8080)")
    check = _add(commands, "doctor", doctor, "diagnose this machine and suggest fixes")
    check.add_argument("--url", help="also check the server running there")
    call_doctor.add_options(check)
    _listening_flags(check)
    subjects = check.add_subparsers(metavar="subject")
    look = SessionDoctor(_shell()).run
    text = "show what each subscriber of a session receives, and why not more"
    session_doctor.add_command(_add(subjects, "session", look, text))
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run, words=parser.prog.partition(" ")[2])
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    parser.add_argument("--data-dir", help="folder of the database (default ./data)")
    parser.add_argument("--config", help="TOML file with settings")
    return parser


def _listening_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="HTTP address (default 0.0.0.0)")
    parser.add_argument("--port", type=int, help="HTTP port (default 8080; 0: a free one)")
    parser.add_argument("--media-host", help="media address (default 0.0.0.0)")
    parser.add_argument("--media-port", type=int, help="media UDP port (default 10000)")
    parser.add_argument("--public-ip", help="addresses that clients can reach, space-separated")


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _add(commands, "serve", serve, "run the server")
    _listening_flags(parser)
    parser.add_argument(
        "--development",
        action="store_true",
        default=None,
        help="create a development project if there is none, and let any visitor of the page open"
        " rooms; not for production",
    )
    parser.add_argument("--log-level", help="debug, info, warning or error")
    parser.add_argument("--log-format", help="json or console")


def _shell() -> Shell:
    return Shell(CLOCK, settings_of, with_store, show)


def _add_group(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    add_commands: Callable[[Adder, Shell], None],
) -> None:
    group = commands.add_parser(name, help=text)
    actions = group.add_subparsers(required=True, metavar="action")
    add_commands(partial(_add, actions), _shell())


def _add_sessions(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    group = commands.add_parser("session", help="sessions")
    actions = group.add_subparsers(required=True, metavar="action")
    create = _add(actions, "create", session_create, "create a session and print its id")
    create.add_argument("--api-key", required=True)
    create.add_argument("--e2ee", action="store_true", help="end-to-end encrypted")
    create.add_argument("--media-mode", choices=("routed", "relayed"))
    create.add_argument("--archive-mode", choices=("manual", "always"))
    create.add_argument("--location", help="IPv4 address near the clients")
    listing = SessionList(_shell()).run
    session_list.add_options(_add(actions, "list", listing, "list the sessions with clients"))
    mint = _add(commands, "token", token, "create a client token for a session")
    mint.add_argument("--session", required=True)
    mint.add_argument("--role", choices=[role.value for role in Role], default="publisher")
    mint.add_argument("--data", help="connection data")
    mint.add_argument("--expires-in", type=_lifetime, default=DAY_S, help="seconds (default a day)")


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 refused or failed, 2 wrong usage."""
    arguments = build_parser().parse_args(argv)
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
        return _fail(arguments, "os", failure.strerror or str(failure))
    return code


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
