"""The command line of `sealroute-member`."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from config.settings import EgressSettings
from member.credentials import ProjectKey
from member.policy import ANY, Policy
from member.recording import Tools
from member.secret_source import NoSecretError, OneSecret, SecretCommand, SecretFile, SecretSource
from member.secret_source import read_line as read_secret
from member.service import Service, socket_url
from sfu.egress.forks import program_of
from sfu.egress.supervisor import Supervisor

SECRET_VARIABLE = "SEALROUTE_SECRET"  # noqa: S105 - a name
KEY_VARIABLE = "SEALROUTE_API_SECRET"
ZYGOTE, COMPOSING_ZYGOTE = "sfu.egress.frame_zygote", "sfu.egress.composer.frame_zygote"
FINISH_S = 30.0
EXIT_STOPPED, EXIT_FAILED, EXIT_USAGE = range(3)
_HOUR_S = 3600.0
_MB = 1_000_000


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="sealroute-member",
        description="Records end-to-end encrypted sessions where you trust the machine: as a member"
        " of the session that everybody sees, when the server asks for an archive.",
        allow_abbrev=False,
    )
    root.add_argument("--url", required=True, help="http(s)://host:port of the server")
    root.add_argument("--api-key", required=True, help="of the project")
    root.add_argument(
        "--api-secret-file", type=Path, help=f"file with its secret (or set {KEY_VARIABLE})"
    )
    secret = root.add_mutually_exclusive_group()
    secret.add_argument(
        "--secret-file", type=Path, help=f"file with the encryption secret (or {SECRET_VARIABLE})"
    )
    secret.add_argument(
        "--secret-command",
        help="command that prints the secret of the session whose id is its last argument",
    )
    root.add_argument(
        "--allow",
        action="append",
        required=True,
        metavar="SESSION",
        help=f"a session that may be recorded; again for more; `{ANY}`: all of the project",
    )
    root.add_argument("--out", type=Path, required=True, help="folder of the archives")
    root.add_argument("--max-archives", type=int, default=4, help="at a time (default 4)")
    root.add_argument("--max-hours", type=float, default=4.0, help="of an archive (default 4)")
    root.add_argument(
        "--min-free-mb", type=int, default=2_048, help="free on the disk to begin (default 2048)"
    )
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 stopped, 1 refused or failed, 2 wrong usage."""
    options = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("aiortc").setLevel(logging.ERROR)
    logging.getLogger("aioice").setLevel(logging.ERROR)
    os.umask(0o077)
    try:
        key = ProjectKey(options.api_key, _api_secret(options.api_secret_file))
        secrets = _secrets(options)
        options.out.mkdir(mode=0o700, parents=True, exist_ok=True)
        socket_url(options.url)
    except (NoSecretError, OSError) as failure:
        return _usage(str(failure))
    except KeyError:
        return _usage("--url must begin with http:// or https://")
    policy = Policy.of(
        options.allow,
        archives_max=options.max_archives,
        archive_s=options.max_hours * _HOUR_S,
        min_free_bytes=options.min_free_mb * _MB,
    )
    asyncio.run(_serve(options.url, key, secrets, policy, options.out.absolute()))
    return EXIT_STOPPED


async def _serve(
    url: str, key: ProjectKey, secrets: SecretSource, policy: Policy, folder: Path
) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    egress = Supervisor(
        EgressSettings(children_max=policy.archives_max),
        close_within_s=FINISH_S,
        program=program_of(ZYGOTE),
        composing_program=program_of(COMPOSING_ZYGOTE),
    )
    try:
        service = Service(Tools(url, key, secrets, policy, folder, egress))
        loop.add_signal_handler(signal.SIGHUP, service.doubt_secrets)
        await service.run(stop)
    finally:
        await egress.close()


def _api_secret(file: Path | None) -> str:
    """Errors: `NoSecretError`. The variable is gone afterwards: no process inherits it."""
    given = os.environ.pop(KEY_VARIABLE, "")
    if file is not None:
        return read_secret(file)
    if not given:
        raise NoSecretError(f"the API secret is missing: --api-secret-file, or {KEY_VARIABLE}")
    return given


def _secrets(options: argparse.Namespace) -> SecretSource:
    """Errors: `NoSecretError`."""
    given = os.environ.pop(SECRET_VARIABLE, "")
    if options.secret_command is not None:
        return SecretCommand.of(options.secret_command)
    if options.secret_file is not None:
        read_secret(options.secret_file)
        return SecretFile(options.secret_file)
    if not given:
        raise NoSecretError(
            "the encryption secret is missing: --secret-file, --secret-command, or"
            f" {SECRET_VARIABLE}"
        )
    return OneSecret(given)


def _usage(text: str) -> int:
    sys.stderr.write(f"sealroute-member: {text}\n")
    return EXIT_USAGE
