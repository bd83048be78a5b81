"""The names of the HTTP library that it does not publish, in one place.

aiohttp has no public way to bound what comes before a request is understood, to know whether a
connection waits for a request, or to serve connections that somebody else accepted. What is used
of its inside has a public name here, and only here. `tests/contract/test_http_library.py` holds
what these names must mean; the library's minor version is pinned in `pyproject.toml`.
"""

import asyncio
from abc import abstractmethod
from typing import IO, Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_protocol import RequestHandler


class LibraryConnection(RequestHandler):
    """The library's connection, with names for what its subclasses need to know."""

    __slots__ = ()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    @property
    def requests_begun(self) -> int:
        """Requests whose head has been read."""
        return self._request_count

    @property
    def waits_for_request(self) -> bool:
        """No request is handled, and the next one has not come."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def unparsed(self) -> bytes:
        """Bytes behind the request that asks for an upgrade: they came in the same segment."""
        return self._message_tail

    def forget_unparsed(self) -> None:
        self._message_tail = b""

    @property
    def is_upgraded(self) -> bool:
        """What comes is parsed as frames of a WebSocket, or as a body."""
        return self._payload_parser is not None

    @property
    def reading_is_paused(self) -> bool:
        """The library itself has paused the transport: a reader asked for it, or what it has not
        handled yet is full."""
        return self._reading_paused or self._buffer_paused

    def pause_transport(self) -> None:
        """Stops the transport, whatever the reader of the payload asks for."""
        self._pause_transport_reading()

    def resume_transport(self) -> None:
        self._resume_transport_reading()


class LibraryServer(web.Server):
    """A twin of a server that the library made: same requests, same options, another handler."""

    def __init__(self, made: web.Server, handler: Any) -> None:  # noqa: ANN401 - the library's
        super().__init__(
            handler,
            request_factory=made.request_factory,
            loop=made._loop,  # noqa: SLF001 - what this module is for
            **made._kwargs,  # noqa: SLF001 - the same
        )

    @property
    def connection_options(self) -> dict[str, Any]:
        """What the library gives each connection that it makes."""
        return {"loop": self._loop, **self._kwargs}


class LibraryRunner(web.AppRunner):
    """The library's runner of an application, which lets its server be replaced by a twin."""

    __slots__ = ()

    @abstractmethod
    def twin(self, made: web.Server) -> web.Server:
        """What serves in the place of the server that the library made."""

    async def _make_server(self) -> web.Server:
        return self.twin(await super()._make_server())


class LibraryFileResponse(web.FileResponse):
    """The library's answer with a file, which lets the bytes be sent in another way."""

    @abstractmethod
    async def send(
        self, writer: AbstractStreamWriter, file: IO[Any], offset: int, count: int
    ) -> None:
        """Writes `count` bytes of the open file from `offset`. The head is sent already."""

    async def _sendfile(
        self, request: web.BaseRequest, fobj: IO[Any], offset: int, count: int
    ) -> AbstractStreamWriter:
        writer = await web.StreamResponse.prepare(self, request)
        if writer is None:
            raise ConnectionResetError("the answer has been sent")
        await self.send(writer, fobj, offset, count)
        return writer
