"""A node's media core for Python: commands in, batches of events out, never a packet."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Protocol

import msgspec

from sfu.core_api import (
    COMMAND_NAMES,
    EVENT_TYPES,
    Command,
    Event,
    Snapshot,
    WorkerSettings,
)
from sfu.ids import RouterHandle

EventListener = Callable[[Sequence[Event]], None]


class MediaRouter(Protocol):
    @property
    def local_port(self) -> int: ...
    def next_handle(self) -> int:
        """A new handle: handles of all kinds share one sequence."""

    def submit(self, command: Command) -> None:
        """Queues a command; the core applies commands in order. Errors: `ValueError` for a
        malformed command, `RuntimeError` after the end of the core. A conflict with the core's
        state is reported as `CommandFailed`."""

    def listen(self, listener: EventListener) -> None:
        """Sets the listener of events. It is called on the event loop, never from within
        `submit`."""

    def counters(self) -> dict[str, int]: ...
    async def snapshot(self, router: RouterHandle) -> Snapshot | None:
        """A snapshot of a session; None if the core has no such session."""

    def close(self) -> None:
        """Ends the core. Idempotent."""


_ENCODER = msgspec.msgpack.Encoder()
_SNAPSHOT: msgspec.msgpack.Decoder[Snapshot | None] = msgspec.msgpack.Decoder(Snapshot | None)


def encode_command(command: Command) -> bytes:
    """Encodes a command for the core: a map from its name to its fields."""
    return _ENCODER.encode({COMMAND_NAMES[type(command)]: command})


def decode_events(encoded: bytes) -> list[Event]:
    """Decodes the events of the core, in order."""
    return [
        msgspec.convert(fields, EVENT_TYPES[name])
        for row in msgspec.msgpack.decode(encoded, type=list[dict[str, dict[str, Any]]])
        for name, fields in row.items()
    ]


def decode_snapshot(encoded: bytes) -> Snapshot | None:
    return _SNAPSHOT.decode(encoded)


class NativeMediaRouter:
    """The compiled core. Created on the event loop that receives its events."""

    def __init__(
        self,
        settings: WorkerSettings,
        loop: asyncio.AbstractEventLoop,
        handles: Iterator[int] | None = None,
    ) -> None:
        """`handles`: of all cores of a plane, so that none is used twice."""
        # imported here, so that code that needs only the contract runs without a compiled core
        from sfu import _native  # noqa: PLC0415

        self._worker = _native.Worker(_ENCODER.encode(settings))
        self._loop = loop
        self._handles = handles or count(1)
        self._listener: EventListener | None = None
        self._closed = False
        self._flush_planned = False
        self._fileno = self._worker.fileno()
        loop.add_reader(self._fileno, self._on_readable)

    @property
    def local_port(self) -> int:
        return self._worker.local_port

    def next_handle(self) -> int:
        return next(self._handles)

    def link(self, own_number: int, other: "NativeMediaRouter", number: int) -> None:
        """Joins another core, once. Each calls the other by the number given here."""
        self._worker.link(own_number, other._worker, number)  # noqa: SLF001 - of its own kind

    def submit(self, command: Command) -> None:
        self._worker.queue(encode_command(command))
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Once for each turn of the loop: a wakeup costs both threads more than a command."""
        self._flush_planned = False
        self._worker.flush()

    def listen(self, listener: EventListener) -> None:
        self._listener = listener

    def counters(self) -> dict[str, int]:
        return dict(self._worker.counters())

    async def snapshot(self, router: RouterHandle) -> Snapshot | None:
        encoded = await self._loop.run_in_executor(None, self._worker.snapshot, router)
        return decode_snapshot(encoded)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._fileno)
            self._worker.close()

    def _on_readable(self) -> None:
        batch = decode_events(self._worker.drain())
        if batch and self._listener is not None:
            self._listener(batch)
