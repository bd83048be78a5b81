"""A server process whose certificate is renewed while clients are connected."""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import ssl
import sys

import aiohttp
import av
import pytest
from cryptography import x509

from bench.ports import free_port
from tests.certificates import write_certificate
from tests.served import until

pytestmark = pytest.mark.interop
TWO_FRAMES_MS = 2 * 20
"""A frame that is missing leaves its place: twice the time between two."""


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


async def ask(folder, *words: str) -> dict:
    command = (
        sys.executable,
        "-m",
        "signaling",
        *words,
        "--json",
        "--data-dir",
        str(folder / "data"),
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    return json.loads(out)


@contextlib.asynccontextmanager
async def client(verb: str, *words: str, said: list[dict], **variables: str):
    """A client process inside the block; what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sealroute_client", verb, *words, "--stats"),
        env=os.environ | variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )

    async def read() -> None:
        async for line in process.stdout:
            said.append(json.loads(line))  # noqa: PERF401 - read while it is written

    reading = asyncio.create_task(read())
    try:
        yield process
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
        await reading
    finally:
        if process.returncode is None:
            process.kill()


def gaps_ms(path) -> list[float]:
    """Between the audio frames of a recording, by the clock of who sent them."""
    with av.open(str(path)) as written:
        packets = [packet for packet in written.demux(audio=0) if packet.pts is not None]
        times = [float(packet.pts * packet.time_base) * 1000 for packet in packets]
    return [after - before for before, after in itertools.pairwise(times)]


@pytest.mark.timeout(150)
async def test_a_call_goes_on_while_the_certificate_is_renewed(tmp_path) -> None:
    """Not one audio frame is missing, and no client has to come back."""
    write_certificate(tmp_path)
    trusted = shutil.copy(tmp_path / "certificate.pem", tmp_path / "trusted.pem")
    project = await ask(tmp_path, "project", "create", "--e2ee")
    key = str(project["apiKey"])
    session = (await ask(tmp_path, "session", "create", "--api-key", key, "--e2ee"))["sessionId"]
    tokens = [(await ask(tmp_path, "token", "--session", session))["token"] for _ in range(2)]
    port = free_port()
    common = ("--url", f"https://127.0.0.1:{port}", "--api-key", key, "--session", session)
    known = {"SSL_CERT_FILE": str(trusted), "SEALROUTE_SECRET": "correct horse battery"}
    sent: list[dict] = []
    seen: list[dict] = []

    def frames() -> int:
        figures = [line for line in seen if line["event"] == "stats" and line["received"]]
        rows = figures[-1]["received"].values() if figures else ()
        return sum(row["audio"]["frames"] for row in rows if "audio" in row)

    async with (
        server(tmp_path, port) as process,
        client("publish", *common, "--token", tokens[0], said=sent, **known),
        client(
            "record", *common, "--token", tokens[1], "--out", str(tmp_path / "out"),
            said=seen, **known,
        ),
    ):  # fmt: skip
        await until(lambda: frames() > 50, 60)
        for _ in range(5):
            before, serial = frames(), write_certificate(tmp_path)
            process.send_signal(signal.SIGHUP)
            await until(lambda before=before: frames() > before + 25, 30)
            assert await asyncio.to_thread(served_serial, port) == serial
    (recorded,) = [line for line in seen if line["event"] == "recorded"]
    reported = {line["event"] for line in (*sent, *seen)}
    assert not reported & {"sessionReconnecting", "transportLost", "error"}
    assert max(gaps_ms(recorded["path"])) < TWO_FRAMES_MS
    assert recorded["frames"]["video"] > 100


async def test_sighup_serves_the_renewed_certificate_and_ends_no_connection(tmp_path) -> None:
    first, port = write_certificate(tmp_path), free_port()
    url = f"https://127.0.0.1:{port}"
    async with (
        server(tmp_path, port) as process,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as http,
        http.ws_connect(f"{url}/v1/signal", protocols=("sealroute.v2.json",)) as connected,
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
