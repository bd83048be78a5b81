"""The command line: `sealroute serve | migrate | project | session | token | callbacks |
doctor`."""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from config.load import PREFIX, SHORT_NAMES, ConfigurationError, Value, load_settings
from config.settings import Settings
from signaling import administration, callback_commands, session_doctor
from signaling.callback_commands import Shell
from signaling.clock import SystemClock
from signaling.doctor import examine
from signaling.domain.errors import DomainError
from signaling.domain.projects import Project
from signaling.domain.roles import Role
from signaling.domain.tokens import TokenClaims
from signaling.session_doctor import SessionDoctor
from signaling.storage.base import Store
from signaling.storage.choosing import open_store

T = TypeVar("T")
CLOCK = SystemClock()
MIN_TOKEN_S = 1
DAY_S = 86_400


def say(text: str) -> None:
    """Output of a command; logs go to standard error."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def show(arguments: argparse.Namespace, document: object, lines: str) -> None:
    say(json.dumps(document) if arguments.json else lines)


def settings_of(arguments: argparse.Namespace) -> Settings:
    flags: dict[str, Value | None] = {name: getattr(arguments, name, None) for name in SHORT_NAMES}
    file = getattr(arguments, "config", None) or os.environ.get(f"{PREFIX}CONFIG")
    return load_settings(Path(file) if file else None, os.environ, flags)


def with_store(arguments: argparse.Namespace, work: Callable[[Store], Awaitable[T]]) -> T:
    storage = settings_of(arguments).storage

    async def run() -> T:
        store = await open_store(storage)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def serve(arguments: argparse.Namespace) -> int:
    import uvloop  # noqa: PLC0415 - the other commands do without the loop

    from signaling.server import run_server  # noqa: PLC0415 - and without the media core

    settings = settings_of(arguments)
    return uvloop.run(run_server(settings, say, as_json=arguments.json))


def migrate(arguments: argparse.Namespace) -> int:
    """Opening the store runs the migrations."""

    async def nothing(_store: Store) -> None:
        return None

    with_store(arguments, nothing)
    show(arguments, {"migrated": True}, "The schema is up to date.")
    return 0


def project_create(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    project = with_store(
        arguments,
        lambda store: administration.create_project(
            store,
            CLOCK,
            name=arguments.name or "",
            e2ee_enabled=arguments.e2ee or settings.e2ee.enabled_for_new_projects,
            public_key_pem=_read_pem(arguments.public_key),
        ),
    )
    document = administration.credentials(project)
    show(arguments, document, "\n".join(f"{name} {value}" for name, value in document.items()))
    return 0


def project_update(arguments: argparse.Namespace) -> int:
    change = administration.ProjectChange(
        name=arguments.name,
        e2ee_enabled=arguments.e2ee,
        public_key_pem=_read_pem(arguments.public_key),
    )
    project = with_store(
        arguments, lambda store: administration.update_project(store, arguments.api_key, change)
    )
    show(arguments, _described(project), _line(project))
    return 0


def project_list(arguments: argparse.Namespace) -> int:
    found = with_store(arguments, lambda store: store.projects())
    show(arguments, [_described(one) for one in found], "\n".join(_line(one) for one in found))
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


def doctor(arguments: argparse.Namespace) -> int:
    findings = examine(settings_of(arguments), arguments.url)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:8}{finding.check:18}{finding.detail}")
        if finding.advice:
            lines.append(f"{'':26}→ {finding.advice}")
    show(arguments, [finding.as_dict() for finding in findings], "\n".join(lines))
    return 1 if any(finding.state == "error" for finding in findings) else 0


def _described(project: Project) -> dict[str, object]:
    return {
        "apiKey": project.api_key,
        "applicationId": project.application_id,
        "name": project.name,
        "e2ee": project.e2ee_enabled,
        "publicKey": project.public_key_pem is not None,
        "createdAt": project.created_ms,
    }


def _line(project: Project) -> str:
    sealed = "e2ee" if project.e2ee_enabled else "-"
    return f"{project.api_key:>10}  {project.application_id}  {sealed:4}  {project.name}"


def _read_pem(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        return Path(file).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as cause:
        raise ConfigurationError(f"cannot read {file}") from cause


def _lifetime(text: str) -> int:
    seconds = int(text)
    if not MIN_TOKEN_S <= seconds <= 30 * DAY_S:
        raise argparse.ArgumentTypeError("from 1 second to 30 days")
    return seconds


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sealroute", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_serve(commands)
    _add(commands, "migrate", migrate, "bring the database's schema up to date")
    _add_projects(commands)
    _add_sessions(commands)
    _add_callbacks(commands)
    check = _add(commands, "doctor", doctor, "say what is wrong, and what to do")
    check.add_argument("--url", help="also ask the server running there")
    _listening_flags(check)
    subjects = check.add_subparsers(metavar="subject")
    look = SessionDoctor(Shell(CLOCK, settings_of, with_store, show)).run
    text = "say what each subscriber of a session gets, and why not more"
    session_doctor.add_command(_add(subjects, "session", look, text))
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    parser.add_argument("--data-dir", help="folder of the database (default ./data)")
    parser.add_argument("--config", help="TOML file with settings")
    return parser


def _listening_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="HTTP address (default 0.0.0.0)")
    parser.add_argument("--port", type=int, help="HTTP port (default 8080; 0: a free one)")
    parser.add_argument("--media-host", help="media address (default 0.0.0.0)")
    parser.add_argument("--media-port", type=int, help="media UDP port (default 10000)")
    parser.add_argument("--public-ip", help="addresses that clients can reach, with blanks between")


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _add(commands, "serve", serve, "run the server")
    _listening_flags(parser)
    parser.add_argument("--log-level", help="debug, info, warning or error")
    parser.add_argument("--log-format", help="json or console")


def _add_projects(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    group = commands.add_parser("project", help="projects: API keys and their properties")
    actions = group.add_subparsers(required=True, metavar="action")
    create = _add(actions, "create", project_create, "make a project and print its credentials")
    create.add_argument("--name", help="for people; one line")
    create.add_argument("--e2ee", action="store_true", help="switch the encryption add-on on")
    create.add_argument("--public-key", help="PEM file of the application's RSA public key")
    _add(actions, "list", project_list, "list projects, without secrets")
    update = _add(actions, "update", project_update, "change a project")
    update.add_argument("--api-key", required=True)
    update.add_argument("--name")
    update.add_argument("--e2ee", action=argparse.BooleanOptionalAction)
    update.add_argument("--public-key")


def _add_sessions(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    group = commands.add_parser("session", help="sessions")
    actions = group.add_subparsers(required=True, metavar="action")
    create = _add(actions, "create", session_create, "make a session and print its id")
    create.add_argument("--api-key", required=True)
    create.add_argument("--e2ee", action="store_true", help="end-to-end encrypted")
    create.add_argument("--media-mode", choices=("routed", "relayed"))
    create.add_argument("--archive-mode", choices=("manual", "always"))
    create.add_argument("--location", help="IPv4 address near the clients")
    mint = _add(commands, "token", token, "make a client token for a session")
    mint.add_argument("--session", required=True)
    mint.add_argument("--role", choices=[role.value for role in Role], default="publisher")
    mint.add_argument("--data", help="connection data")
    mint.add_argument("--expires-in", type=_lifetime, default=DAY_S, help="seconds (default a day)")


def _add_callbacks(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    group = commands.add_parser("callbacks", help="events posted to applications")
    actions = group.add_subparsers(required=True, metavar="action")
    shell = Shell(CLOCK, settings_of, with_store, show)
    callback_commands.add_commands(partial(_add, actions), shell)


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 refused or failed, 2 wrong usage."""
    arguments = build_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ConfigurationError as failure:
        return _fail(arguments, "configuration", str(failure))
    except DomainError as failure:
        return _fail(arguments, failure.code.value, failure.message)
    except OSError as failure:
        return _fail(arguments, "os", failure.strerror or str(failure))


def _fail(arguments: argparse.Namespace, code: str, message: str) -> int:
    text = json.dumps({"error": code, "message": message}) if arguments.json else message
    sys.stderr.write(f"{text}\n" if arguments.json else f"sealroute: {text}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
