"""A served Sealroute behind Caddy, scraped by Prometheus, with a coturn that speaks TLS: real
programs with the files of deploy/, on this machine (`make test-deploy`, root)."""

import asyncio
import contextlib
import datetime as dt
import json
import os
import shutil
import ssl
import sys
from pathlib import Path

import aiohttp
import pytest

from bench.ports import free_port
from config.secret import Secret
from config.settings import IceSettings
from signaling.cli import doctor_turn
from tests.certificates import Authority
from tests.served import NEEDS_THE_MEDIA_CORE, Server
from tests.turn_server import SECRET
from tests.unit.test_deploy_files import board_queries, rules

DEPLOY = Path(__file__).parents[2] / "deploy"
DAY = dt.timedelta(days=1)
pytestmark = pytest.mark.timeout(180)


@contextlib.asynccontextmanager
async def running(*words: object, **environment: str):
    process = await asyncio.create_subprocess_exec(
        *map(str, words),
        env={"PATH": os.environ["PATH"] + ":/usr/sbin", **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def eventually(ask, seconds: float = 60.0):
    """The first answer that is not empty; failures of the network count as empty."""
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                found = await ask()
                if found:
                    return found
            await asyncio.sleep(0.2)


@pytest.fixture
async def server(tmp_path):
    operations = str(free_port())
    config = {
        "SEALROUTE_OPERATIONS_PORT": operations,
        "SEALROUTE_HTTP_TRUSTED_PROXIES": "127.0.0.1/32",
        "SEALROUTE_PUBLIC_IP": "127.0.0.1",
    }
    one = Server(tmp_path / "data", e2ee=True, config=config)
    one.operations = f"127.0.0.1:{operations}"
    await one.start()
    yield one
    if one.process.returncode is None:
        await one.stop()


@contextlib.asynccontextmanager
async def caddy(folder: Path, upstream: str):
    """The address behind which Caddy listens, and the root of its certificate."""
    url = f"https://localhost:{free_port()}"
    root = folder / "share" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    async with running(
        *("caddy", "run", "--adapter", "caddyfile"),
        *("--config", DEPLOY / "caddy" / "Caddyfile"),
        HOME=str(folder),
        XDG_DATA_HOME=str(folder / "share"),
        SEALROUTE_DOMAIN=url.removeprefix("https://"),
        SEALROUTE_UPSTREAM=upstream.removeprefix("http://"),
    ):
        async with aiohttp.ClientSession() as http:

            async def ready():
                async with http.get(f"{url}/readyz", ssl=False) as answer:
                    return answer.status == 200 and root.exists()

            await eventually(ready)
        yield url, root


@NEEDS_THE_MEDIA_CORE
async def test_an_encrypted_call_goes_through_caddy_and_nothing_of_the_operation_does(
    server, tmp_path
):
    file = tmp_path / "project.json"
    file.write_text(json.dumps(server.project))
    async with caddy(tmp_path, server.url) as (url, root):
        context = ssl.create_default_context(cafile=root)
        async with aiohttp.ClientSession() as http:
            for path in ("/metrics", "/admin/v1/projects"):
                async with http.get(url + path, ssl=context) as answer:
                    assert answer.status == 404, path
        doctor = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "signaling", "doctor", "--call", "--json", "--url", url),
            *("--project", str(file), "--seconds", "10", "--data-dir", str(tmp_path / "none")),
            env={**os.environ, "SSL_CERT_FILE": str(root)},
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await doctor.communicate()
    rows = {row["check"]: row for row in json.loads(said)}
    # How good audio and video are depends on what else the machine does.
    for check in ("server /healthz", "server /readyz", "call: signaling", "call: encryption"):
        assert rows[check]["state"] == "ok", rows
    assert "days left" in rows["tls"]["detail"]


async def test_prometheus_scrapes_loads_the_rules_and_answers_the_board(server, tmp_path):
    folder = tmp_path / "prometheus"
    shutil.copytree(DEPLOY / "prometheus", folder)
    file = folder / "prometheus.yml"
    text = file.read_text().replace("sealroute:9091", server.operations)
    file.write_text(text.replace("_interval: 10s", "_interval: 1s"))
    where = f"127.0.0.1:{free_port()}"
    async with (
        running(
            *("prometheus", f"--config.file={file}", f"--web.listen-address={where}"),
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        ),
        aiohttp.ClientSession() as http,
    ):

        async def asked(query: str) -> list:
            url = f"http://{where}/api/v1/query"
            async with http.get(url, params={"query": query}) as answer:
                body = await answer.json()
                assert body["status"] == "success", (query, body)
                return body["data"]["result"]

        await eventually(lambda: asked("rate(process_cpu_seconds_total[1m]) > 0"))
        empty = []
        for query in board_queries():
            if query and not query.startswith("label_values"):
                plain = query.replace("$__rate_interval", "1m").replace("$instance", ".*")
                if not await asked(plain):
                    empty.append(query)
        # What nobody has done yet has no series; the most of it is there from the start.
        assert len(empty) < 30, empty
        async with http.get(f"http://{where}/api/v1/rules") as answer:
            (group,) = (await answer.json())["data"]["groups"]
        assert {rule["name"] for rule in group["rules"]} == {rule["alert"] for rule in rules()}
        assert await asked("ALERTS") == []
        await server.stop()
        await eventually(lambda: asked('ALERTS{alertname="SealrouteDown"}'))


async def test_coturn_speaks_tls_with_caddys_certificate_and_takes_the_next_one(
    tmp_path, monkeypatch
):
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trusted))
    names, run = tmp_path / "certificates" / "acme" / "localhost", tmp_path / "run"
    names.mkdir(parents=True)
    run.mkdir()
    (tmp_path / "turn-secret").write_text(f"{SECRET}\n")
    port = free_port()

    def renew() -> str:
        made = authority.certificate("localhost", -DAY, 90 * DAY)
        shutil.copy(made, names / "localhost.key")
        shutil.copy(made, names / "localhost.crt")
        return made.read_text().partition("-----BEGIN CERTIFICATE")[2].strip()

    async def shown() -> str:
        pem = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port), timeout=3)
        return pem.partition("-----BEGIN CERTIFICATE")[2].strip()

    async with running(
        *("/bin/sh", DEPLOY / "turn.sh", "--realm=test", "-L", "127.0.0.1", "-E", "127.0.0.1"),
        *(f"--tls-listening-port={port}", "-p", free_port(), "--no-dtls", "--log-file=stdout"),
        TURN_SECRET_FILE=str(tmp_path / "turn-secret"),
        TURN_CONFIGURATION=str(DEPLOY / "turnserver.conf"),
        TURN_RUN_FOLDER=str(run),
        TURN_CERTIFICATES=str(tmp_path / "certificates"),
        TURN_DOMAIN="localhost",
        TURN_LOOK_S="1",
    ):
        first = renew()

        async def shows_first() -> bool:
            return await shown() == first

        await eventually(shows_first)
        ice = IceSettings(
            turn_urls=f"turns:localhost:{port}?transport=tcp", turn_secret=Secret(SECRET)
        )
        (row,) = await asyncio.to_thread(doctor_turn.turn_findings, ice)
        assert "relays at 127.0.0.1" in row.detail
        second = renew()

        async def shows_second() -> bool:
            return await shown() == second

        await eventually(shows_second)
