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
from member.doctor import examine, report
from member.policy import ANY, Policy
from member.recording import Tools
from member.secret_source import NoSecretError, OneSecret, SecretCommand, SecretFile, SecretSource
from member.secret_source import read_line as read_secret
from member.service import Service, socket_url
from member.uploads import Uploads
from sfu.egress.buckets import Bucket
from sfu.egress.forks import program_of
from sfu.egress.supervisor import Supervisor
from sfu.egress.uploads import Uploader
from sfu.target_policy import networks

SECRET_VARIABLE = "SEALROUTE_SECRET"  # noqa: S105 - a name
KEY_VARIABLE = "SEALROUTE_API_SECRET"
BUCKET_VARIABLE = "SEALROUTE_BUCKET_SECRET"
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
    root.add_argument(
        "task",
        nargs="?",
        choices=("serve", "doctor"),
        default="serve",
        help="doctor: says what would keep it from recording, and ends (default: serve)",
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
    _add_bucket(root)
    root.add_argument("--max-archives", type=int, default=4, help="at a time (default 4)")
    root.add_argument("--max-hours", type=float, default=4.0, help="of an archive (default 4)")
    root.add_argument(
        "--min-free-mb", type=int, default=2_048, help="free on the disk to begin (default 2048)"
    )
    return root


def _add_bucket(root: argparse.ArgumentParser) -> None:
    where = root.add_mutually_exclusive_group()
    where.add_argument("--s3", metavar="BUCKET", help="archives go to a bucket of S3 or its like")
    where.add_argument("--azure", metavar="CONTAINER", help="or to one of Azure Blob Storage")
    root.add_argument("--identity", help="the id of the access key, or the account of Azure")
    root.add_argument(
        "--bucket-secret-file", type=Path, help=f"file with its secret (or set {BUCKET_VARIABLE})"
    )
    root.add_argument("--region", default="us-east-1", help="of S3 (default us-east-1)")
    root.add_argument("--endpoint", help="a URL, unless it is the one of AWS or Azure")
    root.add_argument(
        "--allow-networks",
        default="",
        help="where the bucket may be beside public addresses, space-separated; also without TLS",
    )


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
        uploads = _uploads(options)
        options.out.mkdir(mode=0o700, parents=True, exist_ok=True)
        socket_url(options.url)
    except (NoSecretError, OSError, ValueError) as failure:
        return _usage(str(failure))
    except KeyError:
        return _usage("--url must begin with http:// or https://")
    policy = Policy.of(
        options.allow,
        archives_max=options.max_archives,
        archive_s=options.max_hours * _HOUR_S,
        min_free_bytes=options.min_free_mb * _MB,
    )
    egress = Supervisor(
        EgressSettings(children_max=policy.archives_max),
        close_within_s=FINISH_S,
        program=program_of(ZYGOTE),
        composing_program=program_of(COMPOSING_ZYGOTE),
    )
    folder = options.out.absolute()
    tools = Tools(options.url, key, secrets, policy, folder, egress, uploads)
    if options.task == "doctor":
        text, is_well = report(asyncio.run(examine(tools)))
        sys.stdout.write(text + "\n")
        return EXIT_STOPPED if is_well else EXIT_FAILED
    asyncio.run(_serve(tools))
    return EXIT_STOPPED


async def _serve(tools: Tools) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        service = Service(tools)
        loop.add_signal_handler(signal.SIGHUP, service.doubt_secrets)
        await service.run(stop)
    finally:
        await tools.egress.close()


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


def _uploads(options: argparse.Namespace) -> Uploads | None:
    """Errors: `NoSecretError`; `ValueError` for what no bucket is."""
    secret = os.environ.pop(BUCKET_VARIABLE, "")
    name = options.s3 or options.azure
    if not name:
        return None
    if options.bucket_secret_file is not None:
        secret = read_secret(options.bucket_secret_file)
    if not options.identity or not secret:
        raise ValueError(
            f"a bucket takes --identity and --bucket-secret-file, or {BUCKET_VARIABLE}"
        )
    networks(options.allow_networks)  # a mistake in it is seen now
    bucket = Bucket(
        "s3" if options.s3 else "azure",
        name,
        options.identity,
        secret,
        region=options.region,
        endpoint=options.endpoint,
    )
    return Uploads(bucket, Uploader(), options.allow_networks)


def _usage(text: str) -> int:
    sys.stderr.write(f"sealroute-member: {text}\n")
    return EXIT_USAGE
