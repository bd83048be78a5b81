"""Long files: read in threads of their own, for clients that are slow.

The library reads a file while it sends it, on the loop: a disk that takes a second for it would
take a second from everybody. Here a slow disk holds up downloads alone.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import IO, Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from signaling.http.library import LibraryFileResponse

_CHUNK_BYTES = 262_144
"""Read at a time: it is in memory until the peer has taken it."""


def read_part(file: IO[Any], most: int, offset: int) -> bytes:
    return os.pread(file.fileno(), most, offset)


class PatientResponse(LibraryFileResponse):
    """Its reader may take `extra_s` on top of the time for any answer. `threads` read the file.
    `on_over` is called once, when nothing more is read."""

    def __init__(
        self,
        path: Path,
        *,
        headers: Mapping[str, str],
        extra_s: float,
        threads: Executor,
        on_over: Callable[[], None],
    ) -> None:
        super().__init__(path, headers=headers)
        self.extra_s = extra_s
        self._threads = threads
        self._on_over = on_over

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        try:
            return await super().prepare(request)
        finally:
            self._on_over()

    async def send(
        self, writer: AbstractStreamWriter, file: IO[Any], offset: int, count: int
    ) -> None:
        loop = asyncio.get_running_loop()
        end = offset + count
        while offset < end:
            most = min(_CHUNK_BYTES, end - offset)
            chunk = await loop.run_in_executor(self._threads, read_part, file, most, offset)
            if not chunk:
                raise ConnectionError("the file is shorter than it was")
            await writer.write(chunk)
            offset += len(chunk)
        await writer.drain()
