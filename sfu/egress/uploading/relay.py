"""The way of an upload's connections: a proxy on loopback that checks each address as it connects.

The client of the object stores resolves names and follows redirects by itself; so that neither
leads it into the operator's network, it has no other way than this. Whoever else is on this machine
does not know the password.
"""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from sfu.target_policy import TargetPolicy, TargetRefused

MAX_HEAD_BYTES = 65_536
CONNECT_S = 20.0
_CHUNK_BYTES = 65_536
_USER = "upload"
_PUBLIC = TargetPolicy()


class Relay:
    """`refused`: an address was not permitted."""

    def __init__(self, policy: TargetPolicy) -> None:
        self.refused = False
        self._policy = policy
        self._password = secrets.token_hex(16)
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """The URL of the proxy."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=MAX_HEAD_BYTES)
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"http://{_USER}:{self._password}@127.0.0.1:{port}"
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            await self._relay(reader, writer)
        except TargetRefused:
            self.refused = True
            writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
        except asyncio.LimitOverrunError:
            pass
        finally:
            with suppress(OSError):
                writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        is_tunnel, host, port = target_of(head)
        if self._credentials not in head:
            raise ValueError("not the upload")
        ours, theirs = await self._dial(host, port, in_clear=not is_tunnel)
        try:
            if is_tunnel:
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                theirs.write(head)
            await _both_ways((reader, theirs), (ours, writer))
        finally:
            theirs.close()

    @property
    def _credentials(self) -> bytes:
        return b64encode(f"{_USER}:{self._password}".encode())

    async def _dial(
        self, host: str, port: int, *, in_clear: bool
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Errors: `TargetRefused`, `OSError`."""
        self._policy.check_host(host)
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=1)
        addresses = [str(one[4][0]) for one in found]
        permitted = [one for one in addresses if self._permits(one, in_clear=in_clear)]
        if not permitted:
            raise TargetRefused(host)
        failure = OSError("no address")
        for address in permitted:
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await asyncio.open_connection(address, port)
            except OSError as cause:  # also a time-out
                failure = cause
        raise failure

    def _permits(self, address: str, *, in_clear: bool) -> bool:
        """Without TLS only to the operator's own networks."""
        return self._policy.permits(address) and not (in_clear and _PUBLIC.permits(address))


def target_of(head: bytes) -> tuple[bool, str, int]:
    """Whether a request asks for a tunnel, and of its target the host and port. Errors:
    `ValueError`."""
    method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
    is_tunnel = method == "CONNECT"
    parts = urlsplit(f"//{target}" if is_tunnel else target)
    return is_tunnel, parts.hostname or "", parts.port or (443 if is_tunnel else 80)


async def _both_ways(
    *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Until either side has ended."""
    tasks = [asyncio.ensure_future(_pipe(*way)) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
