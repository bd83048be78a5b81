"""A real coturn on loopback with the flags that the repository ships."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from tests.served import free_port

CONFIGURATION = Path(__file__).parents[1] / "deploy" / "turnserver.conf"
PROGRAM = shutil.which("turnserver")
SECRET = "shared by both servers"
LOOPBACK_PEERS = ("--allow-loopback-peers", "--allowed-peer-ip=127.0.0.1")
"""For tests in which all peers are on this machine."""


@contextlib.asynccontextmanager
async def turn_server(folder: Path, *flags: str) -> AsyncIterator[int]:
    """The UDP port of a coturn that runs inside the block."""
    port = free_port(socket.SOCK_DGRAM)
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM),
        *("-c", str(CONFIGURATION), "--realm=test", f"--static-auth-secret={SECRET}"),
        *("-L", "127.0.0.1", "-E", "127.0.0.1", "-p", str(port), "--no-tls", "--no-dtls"),
        *(f"--userdb={folder / 'turndb'}", f"--pidfile={folder / 'turn.pid'}"),
        *("--log-file=stdout", *flags),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _until_bound(port)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _until_bound(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    return
            await asyncio.sleep(0.05)
