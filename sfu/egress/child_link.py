"""One child as the supervisor sees it: a process, and control lines both ways."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Generic

from msgspec import Struct

from sfu.egress.control import Line, LineError, LineReader, LineWriter, Up, UpReader
from sfu.egress.forks import ChildProcess, Zygote

_MAX_UP_BYTES = 65_536
SILENCE_S = 30.0
"""A child speaks every second; one that hangs is killed. Longer than a slow disk takes to sync."""
KILL_S = 5.0
LINES_AT_ONCE = 100
LINES_PER_S = 20
"""A child has some two lines a second to say; a flood would hold up the server."""


class ChildLink(Generic[Line]):
    """Made by `spawn`. Lines are sent without waiting: a child that does not read is killed for
    its silence before they take much memory."""

    def __init__(
        self,
        process: ChildProcess,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        line_reader: LineReader[Line],
    ) -> None:
        self.process = process
        self._line_reader = line_reader
        self._reader = reader
        self._writer = writer
        self._lines = LineWriter()

    def send(self, line: Struct) -> None:
        if not self._writer.is_closing():
            self._writer.write(self._lines.encode(line))

    async def lines(self, silence_s: float = SILENCE_S) -> AsyncIterator[Line]:
        """What the child says, until it ends, hangs, or says what no child does."""
        loop = asyncio.get_running_loop()
        began, count = loop.time(), 0
        while count < LINES_AT_ONCE + LINES_PER_S * (loop.time() - began):
            count += 1
            try:
                line = await asyncio.wait_for(self._reader.readuntil(b"\n"), silence_s)
                yield self._line_reader.decode(line)
            except (OSError, EOFError, TimeoutError, LineError, asyncio.LimitOverrunError):
                return

    async def close(self, *, kill: bool) -> None:
        """Without `kill` the child completes its files by itself."""
        self._writer.close()
        if kill:
            self.process.kill()
            with suppress(TimeoutError):  # a process that waits for a broken disk does not end
                await asyncio.wait_for(self.process.wait(), KILL_S)
        self.process.close()


async def spawn(zygote: Zygote, media: socket.socket | None) -> ChildLink[Up]:
    """A process that records. Errors: `ForkError`."""
    return await spawn_with(zygote, [] if media is None else [media], UpReader())


async def spawn_with(
    zygote: Zygote, sockets: Sequence[socket.socket], line_reader: LineReader[Line]
) -> ChildLink[Line]:
    """A process with control lines, and with these sockets as its descriptors 4 and following.
    Errors: `ForkError`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs:
        descriptors = [theirs.fileno(), *(one.fileno() for one in sockets)]
        try:
            process = await zygote.fork(descriptors)
        except BaseException:
            ours.close()
            raise
    ours.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_MAX_UP_BYTES)
    return ChildLink(process, reader, writer, line_reader)
