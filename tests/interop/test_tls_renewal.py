"""A server process whose certificate is renewed while clients are connected."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import sys

import aiohttp
import pytest
from cryptography import x509

from tests.certificates import write_certificate
from tests.served import free_port

pytestmark = pytest.mark.interop


def served_serial(port: int) -> int:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 5) as raw,
        context.wrap_socket(raw, server_hostname="media.example.test") as client,
    ):
        found = client.getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(found).serial_number


@contextlib.asynccontextmanager
async def server(folder, port: int):
    files = {
        "SEALROUTE_HTTP_TLS_CERTIFICATE": str(folder / "certificate.pem"),
        "SEALROUTE_HTTP_TLS_KEY": str(folder / "key.pem"),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "signaling", "serve", "--data-dir", str(folder / "data")),
        *("--host", "127.0.0.1", "--port", str(port), "--media-port", "0"),
        env=os.environ | files,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(20):
            async for line in process.stdout:
                if b"listens" in line:
                    break
        reading = asyncio.create_task(process.stdout.read())
        yield process
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0
        await reading
    finally:
        if process.returncode is None:
            process.kill()


async def test_sighup_serves_the_renewed_certificate_and_ends_no_connection(tmp_path) -> None:
    first, port = write_certificate(tmp_path), free_port(socket.SOCK_STREAM)
    url = f"https://127.0.0.1:{port}"
    async with (
        server(tmp_path, port) as process,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as http,
        http.ws_connect(f"{url}/v1/signal", protocols=("sealroute.v1.json",)) as connected,
    ):
        assert await asyncio.to_thread(served_serial, port) == first
        for broken in (False, True):
            serial = first if broken else write_certificate(tmp_path)
            if broken:
                (tmp_path / "key.pem").write_text("half wri")
            else:
                first = serial
            process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(5):
                while await asyncio.to_thread(served_serial, port) != serial:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            async with http.get(f"{url}/healthz") as answer:
                assert answer.status == 200
        await connected.send_json({"t": "ping", "id": 1})
        said = await connected.receive_json(timeout=5)
        assert said["t"] == "error", "the connection of before is there, and is answered"
