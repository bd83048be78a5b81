"""The only way out of a render's browser: an HTTP proxy that connects to permitted addresses.

Two doors lead to it. Behind one are the pages of the world: addresses that the rule of callbacks
permits, looked up here and connected as such, for each request and each tunnel, so that neither a
redirect nor a name with two meanings leads elsewhere. Behind the other is this server alone, for
the tab that publishes: its SDK, its signaling, and its media over TCP.
"""

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from sfu.egress.render.requests import (
    END,
    MAX_HEAD_BYTES,
    Request,
    RequestError,
    origin_head,
    read_request,
    without_origin,
)
from sfu.target_policy import TargetPolicy, TargetRefused

log = logging.getLogger(__name__)

OWN_HOST = "publisher.localhost"
"""A name that browsers trust like https, and that means nothing outside of a render."""
SIGNALING_PATH = "/v1/signal"
SDK_FOLDER = "/sdk/"
PAGE = b'<!doctype html><meta charset="utf-8"><script src="/sdk/sealroute.js"></script>'
CONNECTIONS = 256
"""A page opens some dozens; one that opens thousands gets no more."""
LOOKUPS = 8
HEAD_S = 20.0
CONNECT_S = 10.0
_CHUNK_BYTES = 65_536
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class OwnServer:
    """`http`: where signaling listens, `secure` with TLS. `media`: what clients are told, and where
    it is from here."""

    http: Address
    secure: bool
    media: Mapping[Address, Address] = field(default_factory=dict)


class Refused(Exception):  # noqa: N818 - the error kinds are named like this
    """What the browser reads of a connection that there is not."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Proxy:
    """Used on one event loop. `counts`: what was asked of it."""

    def __init__(self, policy: TargetPolicy, own: OwnServer) -> None:
        self.counts: Counter[str] = Counter()
        self._policy = policy
        self._own = own
        self._lookups = asyncio.Semaphore(LOOKUPS)
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self, world: socket.socket, own: socket.socket) -> list[asyncio.Server]:
        """Accepts at both doors until the servers are closed."""
        return [
            await asyncio.start_server(self._door(self._world), sock=world, limit=MAX_HEAD_BYTES),
            await asyncio.start_server(self._door(self._own_side), sock=own, limit=MAX_HEAD_BYTES),
        ]

    async def close(self) -> None:
        """Ends all connections."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _door(
        self, answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def come_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is None or len(self._open) >= CONNECTIONS:
                self.counts["connections_refused"] += 1
                writer.close()
                return
            self._open.add(task)
            try:
                await answer(reader, writer)
            except Refused as refused:
                await self._refuse(writer, refused.status)
            except (OSError, EOFError, RequestError, asyncio.LimitOverrunError, ValueError):
                self.counts["requests_failed"] += 1
            except asyncio.CancelledError:
                writer.transport.abort()  # the browser is gone
            finally:
                self._open.discard(task)
                writer.close()

        return come_in

    async def _refuse(self, writer: asyncio.StreamWriter, status: str) -> None:
        self.counts["requests_refused"] += 1
        # With a text: a browser keeps the status of a page alone that has one.
        about = f"Content-Type: text/plain\r\nContent-Length: {len(status)}\r\nConnection: close"
        head = f"HTTP/1.1 {status}\r\n{about}\r\n\r\n{status}"
        with suppress(OSError):
            writer.write(head.encode())
            await writer.drain()

    # --- the world ------------------------------------------------------------------------------

    async def _world(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _request(reader)
        there = await self._reach(request.host, request.port)
        await self._exchange(request, (reader, writer), there)

    async def _reach(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Errors: `Refused`."""
        try:
            async with asyncio.timeout(CONNECT_S):
                return await self._connect(host, port)
        except TargetRefused:
            raise Refused("403 Forbidden") from None
        except TimeoutError:
            raise Refused("504 Gateway Timeout") from None
        except OSError:
            raise Refused("502 Bad Gateway") from None

    async def _connect(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._policy.check_host(host)
        found = await self._addresses(host, port)
        permitted = [address for address in found if self._policy.permits(address)]
        if found and not permitted:
            raise TargetRefused(host)
        failure: OSError = OSError("no address")
        for address in permitted:
            try:
                return await asyncio.open_connection(address, port)
            except OSError as cause:
                failure = cause
        raise failure

    async def _addresses(self, host: str, port: int) -> list[str]:
        with suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        async with self._lookups:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
        return list(dict.fromkeys(str(one[4][0]) for one in found))

    async def _exchange(
        self,
        request: Request,
        here: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.counts["connections"] += 1
        (reader, writer), (far_reader, far_writer) = here, there
        try:
            if request.tunnel:
                writer.write(_ESTABLISHED)
                await self._relay_both(here, there)
                return
            far_writer.write(origin_head(request))
            await _together(
                self._relay(reader, far_writer, request.body_bytes),
                self._relay(far_reader, writer, None),
            )
        finally:
            far_writer.close()

    # --- this server ----------------------------------------------------------------------------

    async def _own_side(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _request(reader)
        here = (reader, writer)
        if request.host != OWN_HOST:
            local = self._own.media.get((request.host, request.port))
            if local is None or not request.tunnel:
                raise Refused("403 Forbidden")
            await self._exchange(request, here, await self._local(local, None))
        elif request.tunnel:
            writer.write(_ESTABLISHED)
            async with asyncio.timeout(HEAD_S):
                head = await reader.readuntil(END)
            upgrade = without_origin(head, SIGNALING_PATH)
            there = await self._signaling()
            there[1].write(upgrade)
            self.counts["connections"] += 1
            try:
                await self._relay_both(here, there)
            finally:
                there[1].close()
        elif request.method == "GET" and request.path.startswith(SDK_FOLDER):
            await self._exchange(request, here, await self._signaling())
        elif request.method == "GET" and request.path == "/":
            about = f"Content-Type: text/html\r\nContent-Length: {len(PAGE)}\r\nConnection: close"
            writer.write(f"HTTP/1.1 200 OK\r\n{about}\r\n\r\n".encode() + PAGE)
            await writer.drain()
        else:
            raise Refused("403 Forbidden")

    async def _signaling(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = None
        if self._own.secure:
            # Its certificate has the name that clients know, and it is this machine's own server.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return await self._local(self._own.http, context)

    async def _local(
        self, address: Address, tls: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(CONNECT_S):
                return await asyncio.open_connection(*address, ssl=tls)
        except OSError:
            raise Refused("502 Bad Gateway") from None

    # --- bytes ----------------------------------------------------------------------------------

    async def _relay_both(
        self,
        here: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        await _together(self._relay(here[0], there[1], None), self._relay(there[0], here[1], None))

    async def _relay(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, most: int | None
    ) -> None:
        """Until the source ends, or after `most` bytes. The other direction goes on."""
        left = most
        while left is None or left > 0:
            data = await source.read(_CHUNK_BYTES if left is None else min(left, _CHUNK_BYTES))
            if not data:
                break
            left = None if left is None else left - len(data)
            self.counts["bytes"] += len(data)
            sink.write(data)
            await sink.drain()
        if most is None:
            with suppress(OSError, RuntimeError):
                if sink.can_write_eof():
                    sink.write_eof()
                else:
                    sink.close()


async def _together(*directions: Coroutine[object, object, None]) -> None:
    """Until all have ended, or one has failed."""
    tasks = [asyncio.ensure_future(one) for one in directions]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _request(reader: asyncio.StreamReader) -> Request:
    async with asyncio.timeout(HEAD_S):
        return read_request(await reader.readuntil(END))
