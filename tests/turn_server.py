"""A real coturn on loopback, started as deploy/turn.yml starts it."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from bench.ports import free_port

DEPLOY = Path(__file__).parents[1] / "deploy"
SECRET = "shared by both servers, with 32 characters or more"
END_S = 5
"""Now and then coturn does not end when it is told to."""
LOOPBACK_PEERS = ("--allow-loopback-peers", "--allowed-peer-ip=127.0.0.1")
"""For tests in which all peers are on this machine."""


@contextlib.asynccontextmanager
async def turn_server(folder: Path, *flags: str) -> AsyncIterator[int]:
    """The UDP port of a coturn that runs inside the block."""
    port = free_port()
    (folder / "turn-secret").write_text(f"{SECRET}\n")
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", str(DEPLOY / "turn.sh"), "--realm=test"),
        *("-L", "127.0.0.1", "-E", "127.0.0.1", "-p", str(port), "--no-tls", "--no-dtls"),
        *("--log-file=stdout", *flags),
        env={
            "PATH": os.environ["PATH"],
            "TURN_SECRET_FILE": str(folder / "turn-secret"),
            "TURN_CONFIGURATION": str(DEPLOY / "turnserver.conf"),
            "TURN_RUN_FOLDER": str(folder),
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _until_bound(port)
        yield port
    finally:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_S)
        except TimeoutError:
            process.kill()
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
