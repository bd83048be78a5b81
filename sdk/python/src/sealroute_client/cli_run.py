"""One run of the command line: a session, what it does in it, and the commands that it takes."""

import asyncio
import contextlib
import json
import os
import threading
from argparse import Namespace
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sealroute_client import events
from sealroute_client.cli_output import Output, write_error
from sealroute_client.emitter import Event
from sealroute_client.errors import (
    ConnectFailed,
    EncryptionInternalError,
    EncryptionSecretMismatch,
    InvalidParameter,
    SealrouteError,
    ServerError,
)
from sealroute_client.media.recording import Recording, RecordingError
from sealroute_client.media.sources import is_device_name
from sealroute_client.publisher import Publisher
from sealroute_client.session import Session
from sealroute_client.subscriber import Subscriber

MAX_COMMAND_BYTES: Final = 64 * 1024
FIGURES_EVERY_S: Final = 1.0


def read_text(path: Path, what: str) -> str:
    """Line ends at the end are not part of it. Errors: InvalidParameter."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidParameter(f"The {what} file cannot be read ({type(error).__name__})") from None


@dataclass(slots=True)
class Run:
    """One invocation: the session and what it does in it."""

    arguments: Namespace
    session: Session
    output: Output
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    publisher: Publisher | None = None
    published: str = ""
    """Id of the stream that was printed last."""
    received: list[Subscriber] = field(default_factory=list)
    """Those whose end was not told yet."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    failure: SealrouteError | None = None
    has_joined: asyncio.Event = field(default_factory=asyncio.Event)

    def spawn(self, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except SealrouteError as error:
                write_error(self.output, error)

        task = asyncio.create_task(guarded())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def play(self) -> None:
        self.session.on("*", self._on_event)
        await self.session.connect()
        self.has_joined.set()
        trust: dict[str, object] = {"trust": str(self.session.trust.state)}
        if self.session.is_encrypted:
            trust["verificationCode"] = self.session.verification_code()
        self.output.line("connected", connectionId=self.session.connection_id, **trust)
        if self.arguments.verb == "publish":
            await self._publish()
        self.spawn(self._figures())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.arguments.duration):
                await self.leave.wait()

    async def finish(self) -> None:
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.session.disconnect()
        for subscriber in list(self.received):
            await self._on_received(subscriber)
        self.output.close()

    async def _publish(self) -> None:
        media = self.arguments.media
        publisher = await self.session.publish(
            media,
            video_codec=self.arguments.video_codec,
            name=self.arguments.name,
            initials=self.arguments.initials,
            loop=self.arguments.loop,
            is_device=media is not None and await asyncio.to_thread(is_device_name, media),
        )
        self.publisher = publisher
        publisher.on(events.Ended, lambda _event: self.leave.set())
        publisher.on(events.StreamCreated, self._on_own_stream)
        self._on_published(publisher.stream_id)

    def _on_own_stream(self, event: events.StreamCreated) -> None:
        self._on_published(str(event.stream["streamId"]))

    def _on_published(self, stream_id: str) -> None:
        """Once for each stream: a restart of the server and a lost uplink bring another."""
        if stream_id != self.published:
            self.published = stream_id
            self.output.line("published", streamId=stream_id)

    async def _subscribe(self, stream: dict[str, Any]) -> None:
        subscriber = await self.session.subscribe(stream)
        self.received.append(subscriber)
        self.output.line("subscribed", streamId=subscriber.stream_id)
        if self.arguments.verb == "record":
            await subscriber.wait_for_tracks()
            path = subscriber.record(self.arguments.out)
            self.output.line("recording", streamId=subscriber.stream_id, path=str(path))
        await subscriber.is_ended.wait()
        await self._on_received(subscriber)

    async def _on_received(self, subscriber: Subscriber) -> None:
        """Tells, once, what became of a stream."""
        if subscriber not in self.received:
            return
        self.received.remove(subscriber)
        await subscriber.close()
        error = reception_fault(subscriber)
        if error is not None:
            write_error(self.output, error)
            self.failure = self.failure or error
        if subscriber.recording is not None:
            await self._on_recorded(subscriber, subscriber.recording, error)

    async def _on_recorded(
        self, subscriber: Subscriber, recording: Recording, error: SealrouteError | None
    ) -> None:
        has_file = await asyncio.to_thread(recording.path.is_file)
        self.output.line(
            "recorded",
            streamId=subscriber.stream_id,
            path=str(recording.path) if has_file else None,
            frames=recording.counts.frames,
            bytes=recording.counts.bytes,
            error=None if error is None else error.name,
        )

    def _on_event(self, event: Event) -> None:
        if isinstance(event, events.ErrorOccurred):
            write_error(self.output, event.error)
            if isinstance(event.error, EncryptionInternalError):
                self.failure = event.error
            return
        self.output.line(event.name, **event.detail)
        if isinstance(event, events.StreamCreated) and self.arguments.verb != "publish":
            self.spawn(self._subscribe(event.stream))
        elif isinstance(event, events.Disconnected):
            self._on_disconnected(event.reason)

    def _on_disconnected(self, reason: str) -> None:
        is_ours = reason == "clientDisconnected" or self.leave.is_set()
        if not is_ours and self.failure is None:
            self.failure = ConnectFailed("The connection ended")
            if reason == "forceDisconnected":
                self.failure = ServerError(
                    "force_disconnected", "OT_DISCONNECTED", 1010, "Disconnected by the server"
                )
        self.leave.set()

    async def _figures(self) -> None:
        before = 0
        while True:
            await asyncio.sleep(FIGURES_EVERY_S)
            stats = await self.session.stats()
            streams = [*stats["sent"].values(), *stats["received"].values()]
            total = sum(kind["bytes"] for stream in streams for kind in stream.values())
            # A stream that ended takes its bytes out of the sum.
            self.output.figures(stats, max(0, 8 * (total - before)))
            before = total

    # --- commands on standard input ----------------------------------------------------

    def on_line(self, line: bytes) -> None:
        try:
            command = json.loads(line)
            handler = _COMMANDS[command["command"]]
        except (ValueError, KeyError, TypeError):
            write_error(self.output, InvalidParameter("Not a command"))
            return
        self.spawn(handler(self, command))

    async def _set_secret(self, command: dict[str, Any]) -> None:
        path = command.get("secretFile")
        if not isinstance(path, str):
            raise InvalidParameter("secretFile is missing")
        secret = await asyncio.to_thread(read_text, Path(path), "secret")
        await self.session.set_encryption_secret(secret, immediate=command.get("immediate") is True)
        # There is no code to read out before: it belongs to the rules of the session too.
        await self.has_joined.wait()
        self.output.line("encryptionSecretSet", verificationCode=self.session.verification_code())

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


def reception_fault(subscriber: Subscriber) -> SealrouteError | None:
    """Why frames are missing in what was received, or in its recording."""
    recording, state = subscriber.recording, subscriber.state
    if recording is not None and recording.error is not None:
        return RecordingError(f"The recording could not be written ({recording.error})")
    # A short run ends before failures count as a mismatch.
    if state.is_mismatched or (state.failed and not state.decrypted):
        done = "received" if recording is None else "recorded"
        return EncryptionSecretMismatch(
            f"Stream {subscriber.stream_id} was not {done} to its end: its frames are encrypted "
            "under another secret than the one given here"
        )
    return None


_COMMANDS: Final[dict[str, Callable[[Run, dict[str, Any]], Awaitable[None]]]] = {
    "setEncryptionSecret": Run._set_secret,  # noqa: SLF001
    "signal": Run._signal,  # noqa: SLF001
    "mute": Run._mute,  # noqa: SLF001
    "unmute": Run._mute,  # noqa: SLF001
    "leave": Run._leave,  # noqa: SLF001
}


def read_commands(run: Run) -> None:
    """Reads lines in a thread: standard input may be a file, which no event loop can watch. The
    end of input ends the reading and nothing else."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        buffer = b""
        while True:
            try:
                chunk = os.read(0, 4096)
            except OSError:
                return
            *lines, buffer = (buffer + (chunk or b"\n")).split(b"\n")
            for line in filter(None, lines):
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(run.on_line, line)
            if not chunk:
                return
            if len(buffer) > MAX_COMMAND_BYTES:
                buffer = b""

    threading.Thread(target=read, name="commands", daemon=True).start()
