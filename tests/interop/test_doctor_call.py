"""`sealroute doctor --call` against a running server: a call that works, and what it says of those
that do not."""

import asyncio
import json
import os
import signal
import sys

import pytest

from bench.ports import free_port
from signaling.cli.call_setup import TEMPORARY
from tests.certificates import write_certificate
from tests.served import NEEDS_THE_MEDIA_CORE, Server

pytestmark = [pytest.mark.interop, NEEDS_THE_MEDIA_CORE]


class Doctor:
    """Runs the command with the data folder of a server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.said = b""

    async def start(self, *words: str, seconds: int = 8, folder=None, **environment: str):
        # As from a shell: what runs in the background inherits that Ctrl-C is ignored.
        shell = ("env", "--default-signal=INT")
        command = (*shell, sys.executable, "-m", "signaling", "doctor", "--call", "--json")
        return await asyncio.create_subprocess_exec(
            *(*command, "--seconds", str(seconds), "--data-dir", str(folder or self.server.folder)),
            *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | environment,
        )

    async def __call__(self, *words: str, seconds: int = 8, **more) -> tuple[int, dict[str, dict]]:
        words = words if "--url" in words else (*words, "--url", self.server.url)
        process = await self.start(*words, seconds=seconds, **more)
        out, err = await asyncio.wait_for(process.communicate(), 45)
        self.said = out + err
        rows = {row["check"]: row for row in json.loads(out)}
        assert all(row["advice"] for row in rows.values() if row["state"] != "ok")
        return process.returncode, {
            name: row for name, row in rows.items() if name.startswith("call: ")
        }

    async def projects(self) -> list[str]:
        return [one["name"] for one in await asyncio.to_thread(self.server.ask, "project", "list")]


async def served(tmp_path, **config: str) -> Server:
    running = Server(tmp_path / "data", e2ee=True, config=config)
    if "SEALROUTE_HTTP_TLS_CERTIFICATE" in config:
        running.url = running.url.replace("http:", "https:")
    await running.start()
    return running


@pytest.fixture
async def server(tmp_path):
    running = await served(tmp_path)
    yield running
    await running.stop()


def errors(rows: dict[str, dict]) -> set[str]:
    return {name for name, row in rows.items() if row["state"] == "error"}


def recorded(server) -> tuple[str, str]:
    """The last command in the audit record, and its outcome."""
    line = json.loads((server.folder / "audit.log").read_text().splitlines()[-1])
    return line["command"], line["outcome"]


async def test_a_call_that_works_is_shown_with_its_figures_and_leaves_nothing(server) -> None:
    doctor = Doctor(server)
    code, rows = await doctor(seconds=10)
    assert (code, errors(rows)) == (0, set())
    assert list(rows) == [
        *("call: signaling", "call: uplink", "call: downlink", "call: loss", "call: round trip"),
        *("call: audio", "call: video", "call: tone", "call: pattern", "call: code"),
        "call: encryption",
    ]
    assert rows["call: encryption"]["detail"] == "sender: encrypted, receiver: encrypted"
    assert "host udp" in rows["call: downlink"]["detail"]
    assert rows["call: round trip"]["figures"]["ms"] < 1_000
    assert rows["call: video"]["figures"]["frames"] > 30
    assert rows["call: tone"]["detail"].startswith(("439", "440", "441"))
    assert await doctor.projects() == [""]
    assert recorded(server) == ("doctor", "done")
    for hidden in (server.project["apiSecret"].encode(), b"T1==", b"eyJ"):
        assert hidden not in doctor.said


@pytest.mark.long
async def test_a_given_project_calls_as_its_application_does(server, tmp_path) -> None:
    file = tmp_path / "project.json"
    file.write_text(json.dumps(server.project))
    doctor = Doctor(server)
    url = server.url.replace("http:", "ws:")
    code, rows = await doctor("--project", str(file), "--url", url, folder=tmp_path / "none")
    assert (code, errors(rows)) == (0, set())
    words = ("project", "update", "--api-key", server.api_key, "--no-e2ee")
    await asyncio.to_thread(server.ask, *words)
    await asyncio.sleep(1.5)  # the server keeps a project for a second
    code, rows = await doctor("--project", str(file))
    assert (code, list(rows)) == (1, ["call: session"])
    assert "not enabled" in rows["call: session"]["detail"]
    assert "--e2ee" in rows["call: session"]["advice"]


async def test_a_server_that_is_not_there_is_named(server) -> None:
    doctor = Doctor(server)
    url = f"http://127.0.0.1:{free_port()}"
    code, rows = await doctor("--url", url)
    assert (code, list(rows)) == (1, ["call: signaling"])
    assert "Nothing listens" in rows["call: signaling"]["detail"]
    assert "Start the server" in rows["call: signaling"]["advice"]
    code, rows = await doctor("--url", "http://nobody.invalid")
    assert (code, list(rows)) == (1, ["call: signaling"])
    assert "host name" in rows["call: signaling"]["detail"]
    assert await doctor.projects() == [""]


async def test_a_server_with_another_database_refuses_the_token(server, tmp_path) -> None:
    other = Server(tmp_path / "other", e2ee=True)
    await asyncio.to_thread(other.ask, "project", "create")
    code, rows = await Doctor(server)(folder=other.folder)
    assert (code, list(rows)) == (1, ["call: signaling"])
    assert "authentication_failed" in rows["call: signaling"]["detail"]
    assert "another database" in rows["call: signaling"]["advice"]
    code, rows = await Doctor(server)(folder=tmp_path / "none")
    assert (code, list(rows)) == (1, ["call: project"])
    assert not (tmp_path / "none").exists()


@pytest.mark.long
async def test_a_closed_media_port_is_reported_with_its_address(tmp_path) -> None:
    running = await served(
        tmp_path, SEALROUTE_MEDIA_HOST="127.0.0.1", SEALROUTE_PUBLIC_IP="127.0.0.99"
    )
    try:
        code, rows = await Doctor(running)(seconds=6)
    finally:
        await running.stop()
    # The server announces a stream when its media can flow: there is no downlink to look at.
    assert (code, errors(rows)) == (1, {"call: uplink"})
    assert "media unreachable: no answer from udp 127.0.0.99:" in rows["call: uplink"]["detail"]
    assert "Open that UDP port" in rows["call: uplink"]["advice"]
    assert rows["call: signaling"]["state"] == "ok"
    assert "call: audio" not in rows


@pytest.mark.long
async def test_a_certificate_that_nobody_signed_is_reported(tmp_path) -> None:
    write_certificate(tmp_path)
    certificate = str(tmp_path / "certificate.pem")
    running = await served(
        tmp_path,
        SEALROUTE_HTTP_TLS_CERTIFICATE=certificate,
        SEALROUTE_HTTP_TLS_KEY=str(tmp_path / "key.pem"),
    )
    try:
        code, rows = await Doctor(running)()
        assert (code, list(rows)) == (1, ["call: signaling"])
        assert "certificate" in rows["call: signaling"]["detail"]
        assert "SSL_CERT_FILE" in rows["call: signaling"]["advice"]
        url = running.url.replace("https:", "wss:")
        code, rows = await Doctor(running)("--url", url, SSL_CERT_FILE=certificate)
        assert (code, errors(rows)) == (0, set())
        code, rows = await Doctor(running)("--url", running.url.replace("https:", "http:"))
        assert (code, list(rows)) == (1, ["call: signaling"])
    finally:
        await running.stop()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="ctrl-c"),
        pytest.param(signal.SIGTERM, 143, id="sigterm", marks=pytest.mark.long),
    ],
)
async def test_an_interrupted_call_leaves_no_project_behind(server, number, code) -> None:
    doctor = Doctor(server)
    process = await doctor.start("--url", server.url, seconds=60)
    async with asyncio.timeout(30):
        while TEMPORARY not in await doctor.projects():
            pass
    await asyncio.sleep(1)
    process.send_signal(number)
    try:
        _, err = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == code
    assert b"Traceback" not in err
    assert await doctor.projects() == [""]
    assert recorded(server) == ("doctor", "failed")
