"""`sealroute-client`: publish, subscribe or record from a shell, one JSON line per event."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sealroute_client.errors import (
    ConnectFailed,
    EncryptionError,
    InvalidParameter,
    MediaSourceError,
    SealrouteError,
    ServerError,
)
from sealroute_client.events import Event
from sealroute_client.publisher import Publisher
from sealroute_client.session import Session
from sealroute_client.subscriber import Subscriber

EXIT_CLEAN, EXIT_OTHER, EXIT_USAGE, EXIT_REFUSED, EXIT_E2EE = range(5)
SECRET_VARIABLE: Final = "SEALROUTE_SECRET"  # noqa: S105
STDIN_AT_ONCE_S: Final = 0.5
"""An end of input this early means that there never was any."""
MAX_COMMAND_BYTES: Final = 64 * 1024


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="sealroute-client", description=__doc__)
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
    command.add_argument("--token", required=True)
    command.add_argument(
        "--secret-file", type=Path, help=f"file with the secret (or set {SECRET_VARIABLE})"
    )
    command.add_argument("--duration", type=float, help="seconds after which to leave")
    command.add_argument("--stats", action="store_true", help="one line of figures each second")


def _add_publishing(command: argparse.ArgumentParser) -> None:
    media = command.add_mutually_exclusive_group()
    media.add_argument("--media", help="media file, /dev/video… or an ALSA device")
    media.add_argument("--test-pattern", action="store_true", help="generated media (default)")
    command.add_argument("--video-codec", choices=("vp8", "h264"), default="vp8")
    command.add_argument("--name", default="", help="name of the stream")
    command.add_argument("--loop", action=argparse.BooleanOptionalAction, default=False)


def read_secret(path: Path | None) -> str | None:
    """Line ends after the secret are not part of it. Errors: InvalidParameter."""
    if path is None:
        return os.environ.get(SECRET_VARIABLE)
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise InvalidParameter("The secret file can not be read") from None


def write_line(event: str, **members: object) -> None:
    line = json.dumps({"event": event, **members}, default=str, ensure_ascii=False)
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def write_error(error: Exception) -> None:
    if isinstance(error, SealrouteError):
        write_line(
            "error", code=error.code, name=error.name, number=error.number, message=str(error)
        )
    else:
        # Texts of foreign errors may quote what must not be printed.
        write_line(
            "error",
            code="internal",
            name="InternalError",
            number=2000,
            message=type(error).__name__,
        )


def exit_code(error: BaseException) -> int:
    if isinstance(error, EncryptionError):
        return EXIT_E2EE
    if isinstance(error, ServerError):
        return EXIT_E2EE if 6000 <= error.number <= 6006 else EXIT_REFUSED
    return EXIT_OTHER


@dataclass(slots=True)
class Run:
    """One invocation: the session and what it does in it."""

    arguments: argparse.Namespace
    session: Session
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    publisher: Publisher | None = None
    recordings: dict[str, Subscriber] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    failure: SealrouteError | None = None

    def spawn(self, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except SealrouteError as error:
                write_error(error)

        task = asyncio.create_task(guarded())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def play(self) -> None:
        self.session.on("*", self._on_event)
        await self.session.connect()
        write_line("connected", connectionId=self.session.connection_id)
        if self.arguments.verb == "publish":
            await self._publish()
        if self.arguments.stats:
            self.spawn(self._stats())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.arguments.duration):
                await self.leave.wait()

    async def finish(self) -> None:
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.session.disconnect()
        for subscriber in list(self.recordings.values()):
            await self._recorded(subscriber)

    async def _publish(self) -> None:
        media = self.arguments.media
        is_device = media is not None and not await asyncio.to_thread(os.path.isfile, media)
        publisher = await self.session.publish(
            media,
            video_codec=self.arguments.video_codec,
            name=self.arguments.name,
            loop=self.arguments.loop,
            is_device=is_device,
        )
        self.publisher = publisher
        publisher.on("ended", lambda _event: self.leave.set())
        write_line("published", streamId=publisher.stream_id)

    async def _subscribe(self, stream: dict[str, Any]) -> None:
        subscriber = await self.session.subscribe(stream)
        write_line("subscribed", streamId=subscriber.stream_id)
        if self.arguments.verb == "record":
            await subscriber.wait_for_tracks()
            path = subscriber.record(self.arguments.out)
            self.recordings[subscriber.subscriber_id] = subscriber
            write_line("recording", streamId=subscriber.stream_id, path=str(path))
            await subscriber.is_ended.wait()
            await self._recorded(subscriber)

    async def _recorded(self, subscriber: Subscriber) -> None:
        recording = subscriber.recording
        if recording is None or self.recordings.pop(subscriber.subscriber_id, None) is None:
            return
        await subscriber.close()
        write_line(
            "recorded",
            streamId=subscriber.stream_id,
            path=str(recording.path),
            frames=recording.counts.frames,
            bytes=recording.counts.bytes,
            error=recording.error,
        )

    def _on_event(self, event: Event) -> None:
        if event.name == "error":
            error = event.detail.get("error")
            write_error(error if isinstance(error, Exception) else SealrouteError("unknown"))
            return
        write_line(event.name, **event.detail)
        if event.name == "streamCreated" and self.arguments.verb != "publish":
            stream = event.detail["stream"]
            if isinstance(stream, dict):
                self.spawn(self._subscribe(stream))
        elif event.name == "disconnected":
            if event.detail.get("reason") != "clientDisconnected" and not self.leave.is_set():
                self.failure = ConnectFailed("The connection ended")
                if event.detail.get("reason") == "forceDisconnected":
                    self.failure = ServerError(
                        "force_disconnected", "OT_DISCONNECTED", 1010, "Disconnected by the server"
                    )
            self.leave.set()

    async def _stats(self) -> None:
        before = 0
        while True:
            await asyncio.sleep(1)
            stats = await self.session.stats()
            streams = [*stats["sent"].values(), *stats["received"].values()]
            total = sum(kind["bytes"] for stream in streams for kind in stream.values())
            write_line("stats", **stats, bitrateBps=8 * (total - before))
            before = total

    # --- commands on standard input ----------------------------------------------------

    def on_line(self, line: bytes) -> None:
        try:
            command = json.loads(line)
            handler = _COMMANDS[command["command"]]
        except (ValueError, KeyError, TypeError):
            write_error(InvalidParameter("Not a command"))
            return
        self.spawn(handler(self, command))

    async def _set_secret(self, command: dict[str, Any]) -> None:
        path = command.get("secretFile")
        if not isinstance(path, str):
            raise InvalidParameter("secretFile is missing")
        secret = await asyncio.to_thread(read_secret, Path(path))
        await self.session.set_encryption_secret(
            secret or "", immediate=command.get("immediate") is True
        )
        write_line("encryptionSecretSet")

    async def _signal(self, command: dict[str, Any]) -> None:
        await self.session.signal(
            str(command.get("data", "")), type=str(command.get("type", "")), to=command.get("to")
        )

    async def _mute(self, command: dict[str, Any]) -> None:
        on = command["command"] == "unmute"
        if self.publisher is None:
            raise InvalidParameter("Nothing is published")
        if command.get("kind", "audio") == "video":
            await self.publisher.publish_video(on)
        else:
            await self.publisher.publish_audio(on)

    async def _leave(self, _command: dict[str, Any]) -> None:
        self.leave.set()


_COMMANDS: Final[dict[str, Callable[[Run, dict[str, Any]], Awaitable[None]]]] = {
    "setEncryptionSecret": Run._set_secret,  # noqa: SLF001
    "signal": Run._signal,  # noqa: SLF001
    "mute": Run._mute,  # noqa: SLF001
    "unmute": Run._mute,  # noqa: SLF001
    "leave": Run._leave,  # noqa: SLF001
}


def read_commands(run: Run) -> None:
    """Reads lines in a thread: standard input may be a file, which no event loop can watch.

    The end of input leaves, except at once after the start when `--duration` says how long.
    """
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    has_duration = run.arguments.duration is not None

    def call(action: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(action)

    def at_end(had_input: bool) -> None:
        is_from_start = not had_input and loop.time() < started_s + STDIN_AT_ONCE_S
        if not (has_duration and is_from_start):
            run.leave.set()

    def read() -> None:
        buffer, had_input = b"", False
        while True:
            try:
                chunk = os.read(0, 4096)
            except OSError:
                chunk = b""
            if not chunk:
                break
            had_input = True
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in filter(None, lines):
                call(lambda line=line: run.on_line(line))  # type: ignore[misc]
            if len(buffer) > MAX_COMMAND_BYTES:
                buffer = b""
        call(lambda: at_end(had_input))

    threading.Thread(target=read, name="commands", daemon=True).start()


async def play(arguments: argparse.Namespace) -> int:
    """One whole run; gives the exit code."""
    try:
        secret = await asyncio.to_thread(read_secret, arguments.secret_file)
        if arguments.verb == "record":
            await asyncio.to_thread(arguments.out.mkdir, parents=True, exist_ok=True)
    except (InvalidParameter, OSError) as error:
        write_error(error)
        return EXIT_USAGE
    session = Session(arguments.url, arguments.api_key, arguments.session, arguments.token, secret)
    run = Run(arguments, session)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, run.leave.set)
    read_commands(run)
    code = EXIT_CLEAN
    try:
        await _until_left(run)
    except (SealrouteError, MediaSourceError) as error:
        write_error(error)
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
