"""`sealroute doctor --call`: a short encrypted call through the running server."""

import argparse
import asyncio
import importlib.util
import signal
from collections.abc import Coroutine
from pathlib import Path

from config.load import ConfigurationError
from config.settings import Settings
from signaling.cli import call_report, command_record
from signaling.cli.call_record import CallRecord
from signaling.cli.call_setup import (
    Invitation,
    SetupError,
    in_given_project,
    in_temporary_project,
    project_in,
    web_url,
)
from signaling.cli.findings import Finding
from signaling.cli.health import local_url
from signaling.cli.shell import Shell
from signaling.domain.errors import DomainError
from signaling.domain.projects import Project
from signaling.storage.base import Store

CLIENT = "sealroute_client"
MIN_SECONDS, MAX_SECONDS, DEFAULT_SECONDS = 4, 60, 10


class TerminatedError(Exception):
    """The process was told to end, and has removed what it made."""


class CallDoctor:
    """One test call; `findings` gives its rows."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def findings(self, arguments: argparse.Namespace, url: str) -> list[Finding]:
        """Errors: `TerminatedError`, and `KeyboardInterrupt`; nothing of the call remains."""
        if importlib.util.find_spec(CLIENT) is None:
            return [call_report.MISSING]
        try:
            if arguments.project:
                record = self._with_given(project_in(arguments.project), arguments.seconds, url)
            else:
                record = self._with_temporary(arguments, url)
        except ConfigurationError as failure:
            advice = "Give the running server's --data-dir, or one of its projects with --project."
            return [Finding("call: project", "error", str(failure), advice)]
        except SetupError as refusal:
            return [call_report.refused(refusal.failure)]
        except DomainError as failure:
            advice = "Correct the storage settings, or give a project with --project."
            return [Finding("call: project", "error", failure.message, advice)]
        return call_report.report(record)

    def _with_given(self, project: Project, seconds: int, url: str) -> CallRecord:
        async def work() -> CallRecord:
            return await _call(await in_given_project(project, self._shell.clock, url), seconds)

        return asyncio.run(_until_terminated(work()))

    def _with_temporary(self, arguments: argparse.Namespace, url: str) -> CallRecord:
        async def call(store: Store) -> CallRecord:
            async with in_temporary_project(store, self._shell.clock, url) as invitation:
                return await _call(invitation, arguments.seconds)

        async def work(store: Store) -> CallRecord:
            return await _until_terminated(call(store))

        settings = self._shell.settings_of(arguments)
        _refuse_new_folder(settings)
        outcome = "failed"
        try:
            record = self._shell.with_store(arguments, work)
            outcome = "done"
        finally:
            # The temporary project is a change like any other.
            folder = Path(settings.storage.data_dir)
            command_record.record(arguments, folder, self._shell.clock, outcome)
        if not isinstance(record, CallRecord):
            raise TypeError("the call gave no record")
        return record


async def _until_terminated(work: Coroutine[None, None, CallRecord]) -> CallRecord:
    """SIGTERM cancels the work, as asyncio does it at Ctrl-C, so that nothing of it remains.
    Errors: `TerminatedError`."""
    loop, task = asyncio.get_running_loop(), asyncio.create_task(work)
    before = signal.getsignal(signal.SIGTERM)
    is_terminated = asyncio.Event()

    def stop() -> None:
        is_terminated.set()
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if is_terminated.is_set():
            raise TerminatedError from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)


async def _call(invitation: Invitation, seconds: int) -> CallRecord:
    # A package of its own that only this command needs.
    from signaling.cli.call_clients import make_call  # noqa: PLC0415

    return await make_call(invitation, seconds)


def _refuse_new_folder(settings: Settings) -> None:
    """A folder that is not there is not the running server's."""
    storage = settings.storage
    if not storage.url.reveal() and not Path(storage.data_dir).exists():
        raise ConfigurationError(f"the data folder {storage.data_dir} does not exist")


def url_of(arguments: argparse.Namespace, settings: Settings) -> str | None:
    """The running server's address for HTTP, None if it is not to be asked. Errors:
    `ConfigurationError`."""
    if arguments.url:
        return web_url(arguments.url)
    return local_url(settings.http) if arguments.call else None


def _seconds(text: str) -> int:
    seconds = int(text)
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"from {MIN_SECONDS} to {MAX_SECONDS}")
    return seconds


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--call",
        action="store_true",
        help="also make an encrypted test call through the running server",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=DEFAULT_SECONDS,
        help=f"length of the test call (default {DEFAULT_SECONDS})",
    )
    parser.add_argument(
        "--project",
        metavar="FILE",
        help="credentials for the test call, as `project create --json` prints them (default: a"
        " temporary project, removed afterwards)",
    )
