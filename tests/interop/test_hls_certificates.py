"""The HLS server's process, whose certificate is renewed while it serves."""

import asyncio
import json
import os
import socket
import sys

import pytest

from signaling.broadcasts.hls_process import PROGRAM
from tests.certificates import write_certificate
from tests.interop.test_tls_renewal import served_serial

pytestmark = pytest.mark.interop


async def test_viewers_get_a_renewed_certificate_and_a_broken_one_changes_nothing(tmp_path) -> None:
    first = write_certificate(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *PROGRAM[1:]),
            pass_fds=[bound.fileno()],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ},
        )
        orders = {
            "root": str(tmp_path),
            "sockets": [bound.fileno()],
            "viewers_max": 10,
            "tls_certificate": str(tmp_path / "certificate.pem"),
            "tls_key": str(tmp_path / "key.pem"),
            "tls_check_s": 0.05,
        }
        process.stdin.write(json.dumps(orders).encode() + b"\n")
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"ready\n"

    async def serves(serial: int) -> None:
        async with asyncio.timeout(20):
            while await asyncio.to_thread(served_serial, port) != serial:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    await serves(first)
    second = write_certificate(tmp_path)
    await serves(second)
    (tmp_path / "key.pem").write_text("nothing")
    await asyncio.sleep(0.3)
    await serves(second)
    await serves(write_certificate(tmp_path))
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) == 0
