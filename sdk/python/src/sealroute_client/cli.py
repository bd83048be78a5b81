"""`sealroute-client`: publish, subscribe or record from a shell.

Text and a line of progress on a terminal, one JSON line per event elsewhere (or with --json).
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sealroute_client.cli_output import JsonLines, Output, Terminal, write_error
from sealroute_client.cli_run import Run, read_commands, read_text
from sealroute_client.errors import EncryptionError, InvalidParameter, SealrouteError, ServerError
from sealroute_client.media.recording import make_folder
from sealroute_client.session import Session
from sealroute_client.signaling import VERSION

EXIT_CLEAN, EXIT_OTHER, EXIT_USAGE, EXIT_REFUSED, EXIT_E2EE = range(5)
SECRET_VARIABLE: Final = "SEALROUTE_SECRET"  # noqa: S105
TOKEN_VARIABLE: Final = "SEALROUTE_TOKEN"  # noqa: S105


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="sealroute-client", description=__doc__)
    root.add_argument("--version", action="version", version=f"sealroute-client {VERSION}")
    verbs = root.add_subparsers(dest="verb", required=True)
    for verb, what in (
        ("publish", "send a file, a device or a test pattern"),
        ("subscribe", "receive every stream"),
        ("record", "receive every stream into files"),
    ):
        command = verbs.add_parser(verb, help=what, allow_abbrev=False)
        _add_common(command)
        if verb == "publish":
            _add_publishing(command)
        if verb == "record":
            command.add_argument("--out", type=Path, required=True, help="folder of the recordings")
    return root


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", required=True, help="http(s)://host:port of the server")
    command.add_argument("--api-key", required=True)
    command.add_argument("--session", required=True)
    token = command.add_mutually_exclusive_group()
    token.add_argument("--token", help="shown to everybody who lists processes; rather a file")
    token.add_argument(
        "--token-file", type=Path, help=f"file with the token (or set {TOKEN_VARIABLE})"
    )
    command.add_argument(
        "--secret-file", type=Path, help=f"file with the secret (or set {SECRET_VARIABLE})"
    )
    command.add_argument("--duration", type=float, help="seconds after which to leave")
    command.add_argument(
        "--commands", action="store_true", help="take commands, JSON lines, from standard input"
    )
    command.add_argument("--json", action="store_true", help="JSON lines on a terminal too")
    command.add_argument("--stats", action="store_true", help="a JSON line of figures each second")


def _add_publishing(command: argparse.ArgumentParser) -> None:
    media = command.add_mutually_exclusive_group()
    media.add_argument("--media", help="media file, /dev/video… or an ALSA device")
    media.add_argument("--test-pattern", action="store_true", help="generated media (default)")
    command.add_argument("--video-codec", choices=("vp8", "h264"), default="vp8")
    command.add_argument("--name", default="", help="name of the stream")
    command.add_argument("--initials", default="", help="shown where there is no video")
    command.add_argument("--loop", action=argparse.BooleanOptionalAction, default=False)


def exit_code(error: BaseException) -> int:
    if isinstance(error, EncryptionError):
        return EXIT_E2EE
    if isinstance(error, ServerError):
        return EXIT_E2EE if 6000 <= error.number <= 6006 else EXIT_REFUSED
    return EXIT_OTHER


def _output(arguments: argparse.Namespace) -> Output:
    if sys.stdout.isatty() and not arguments.json:
        return Terminal()
    return JsonLines(with_figures=arguments.stats)


def _session(arguments: argparse.Namespace) -> Session:
    """Everything that is wrong with the call itself. Errors: InvalidParameter, RecordingError."""
    token = arguments.token or os.environ.get(TOKEN_VARIABLE)
    if arguments.token_file is not None:
        token = read_text(arguments.token_file, "token")
    if not token:
        raise InvalidParameter(
            f"There is no token: give --token-file, or set {TOKEN_VARIABLE}, or give --token"
        )
    secret = os.environ.get(SECRET_VARIABLE)
    if arguments.secret_file is not None:
        secret = read_text(arguments.secret_file, "secret")
    session = Session(arguments.url, arguments.api_key, arguments.session, token, secret)
    session.check_url()
    if arguments.verb == "record":
        make_folder(arguments.out)
    return session


async def play(arguments: argparse.Namespace) -> int:
    """One whole run; gives the exit code."""
    output = _output(arguments)
    try:
        session = await asyncio.to_thread(_session, arguments)
    except SealrouteError as error:
        write_error(output, error)
        return EXIT_USAGE
    run = Run(arguments, session, output)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, run.leave.set)
    if arguments.commands:
        read_commands(run)
    code = EXIT_CLEAN
    try:
        await _until_left(run)
    except SealrouteError as error:
        write_error(output, error)
        code = exit_code(error)
    finally:
        await run.finish()
    if code == EXIT_CLEAN and run.failure is not None:
        code = exit_code(run.failure)
    return code


async def _until_left(run: Run) -> None:
    """Leaving ends joining and publishing too."""
    playing = asyncio.create_task(run.play())
    leaving = asyncio.create_task(run.leave.wait())
    await asyncio.wait((playing, leaving), return_when=asyncio.FIRST_COMPLETED)
    leaving.cancel()
    if not playing.done():
        await asyncio.wait((playing,), timeout=0.5)
        playing.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    with contextlib.suppress(asyncio.CancelledError):
        await playing


def main(argv: Sequence[str] | None = None) -> int:
    """Errors: SystemExit 2 for wrong usage."""
    arguments = parser().parse_args(argv)
    return asyncio.run(play(arguments))


if __name__ == "__main__":
    sys.exit(main())
