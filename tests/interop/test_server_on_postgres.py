"""Whole servers on PostgreSQL: several nodes on one database, and a database that goes away."""

import asyncio
import base64
import contextlib
import json
import os
import time
from dataclasses import replace

import aiohttp
import pytest
import sqlalchemy as sa

from config.secret import Secret
from config.settings import EgressSettings, HttpSettings, Settings, StorageSettings
from signaling.domain.projects import new_project
from signaling.domain.rest_credentials import new_rest_token
from signaling.server import running_server
from signaling.storage.choosing import open_store
from tests import postgres
from tests.fakes.broadcasting import FakeBroadcast, FakeBroadcastEgress
from tests.fakes.connectors import FakeConnectors
from tests.fakes.egress import FakeEgress
from tests.interop.test_running_server import Site, expect, fake_plane

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
]


@pytest.fixture
def database(postgres_server):
    return postgres.fresh_database(postgres_server)


def node(database, folder):
    key = base64.urlsafe_b64encode(b"k" * 32).decode()
    return Settings(
        http=HttpSettings(host="127.0.0.1", port=0),
        storage=StorageSettings(
            data_dir=str(folder),
            development_project=True,
            url=Secret(database),
            sealing_key=Secret(key),
            cache_ms=0,
        ),
    )


async def rest_status(http, server, project):
    """What the session route answers to a project, and the error it names."""
    token = new_rest_token(project, int(time.time()))
    async with http.post(
        f"{server.url}/session/create",
        headers={"X-OPENTOK-AUTH": token, "Accept": "application/json"},
    ) as answer:
        body = await answer.json()
        return answer.status, body if answer.status == 200 else body["error"]


async def ready(http, server):
    async with http.get(f"{server.url}/readyz") as answer:
        return answer.status


@contextlib.contextmanager
def unreachable(database):
    """Every connection to the database is cut, and no new one is let in."""
    address = sa.make_url(database).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(address.set(database="postgres"), isolation_level="AUTOCOMMIT")
    name = address.database
    with engine.connect() as connection:
        connection.execute(sa.text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": name},
        )
        yield
        connection.execute(sa.text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
    engine.dispose()


async def test_a_session_made_on_one_node_is_joined_on_another(database, tmp_path):
    first, second = (node(database, tmp_path / name) for name in "ab")
    async with (
        running_server(first, open_plane=fake_plane) as one,
        running_server(second, open_plane=fake_plane) as other,
        aiohttp.ClientSession() as http,
    ):
        assert other.welcome is None
        site = Site(one, tmp_path / "a", http)
        session = await site.session(e2ee=True)
        site.url = other.url
        socket = await site.join(session, site.token(session))
        assert (await expect(socket, "welcome"))["session"]["e2ee"] is True
        await socket.close()


class Recorder(FakeEgress, FakeBroadcastEgress):
    """What archives and broadcasts, in memory."""

    def __init__(self):
        FakeEgress.__init__(self)
        FakeBroadcastEgress.__init__(self)
        self.archived, self.broadcast = self.jobs, {}

    def start_broadcast(self, job, media, listener):
        self.broadcast[job.broadcast] = FakeBroadcast(job, media, listener)
        return self.broadcast[job.broadcast]


async def test_what_leaves_a_session_is_stopped_over_any_node(database, tmp_path):
    """Archives, broadcasts and audio connections; renders and captions take the same way."""
    first, second = (node(database, tmp_path / name) for name in "ab")
    recorder, connectors = Recorder(), FakeConnectors()
    async with (
        running_server(
            replace(first, egress=EgressSettings(allowed_networks="127.0.0.0/8")),
            open_plane=fake_plane,
            make_egress=lambda _settings: recorder,
            make_connectors=lambda _settings: connectors,
        ) as one,
        running_server(
            second,
            open_plane=fake_plane,
            make_egress=lambda _settings: Recorder(),
            make_connectors=lambda _settings: FakeConnectors(),
        ) as other,
        aiohttp.ClientSession() as http,
    ):
        site = Site(one, tmp_path / "a", http)
        session = await site.session()
        socket = await site.join(session, site.token(session))
        await expect(socket, "welcome")

        async def asked(server, path, **body):
            url = f"{server.url}/v2/project/{site.key}/{path}"
            token = site.application._create_jwt_auth_header()
            async with http.post(url, json=body, headers={"X-OPENTOK-AUTH": token}) as answer:
                text = await answer.text()
                return answer.status, json.loads(text) if text else {}

        rtmp = {"rtmp": [{"serverUrl": "rtmp://93.184.216.34/a", "streamName": "k"}]}
        _, archive = await asked(one, "archive", sessionId=session)
        _, broadcast = await asked(one, "broadcast", sessionId=session, outputs=rtmp)
        token = site.token(session)
        wanted = {"uri": "ws://127.0.0.1:9/bot"}
        _, audio = await asked(one, "connect", sessionId=session, token=token, websocket=wanted)
        recorder.archived[archive["id"]].record(1_000)

        for path, job in (("archive", archive), ("broadcast", broadcast), ("connect", audio)):
            status, answer = await asked(other, f"{path}/{job['id']}/stop")
            assert status == 200, (path, answer)
            assert answer.get("status", "stopped") != "started"
        assert recorder.broadcast[broadcast["id"]].finished_with == "user initiated"
        assert connectors.runs[-1].said[-1] == "leave"
        for path, job, refusal in (("archive", archive, 409), ("broadcast", broadcast, 409)):
            assert (await asked(other, f"{path}/{job['id']}/stop"))[0] == refusal
        await socket.close()


async def test_a_node_that_comes_back_finds_what_it_acknowledged(database, tmp_path):
    async with aiohttp.ClientSession() as http:
        async with running_server(node(database, tmp_path), open_plane=fake_plane) as server:
            session = await Site(server, tmp_path, http).session()
        async with running_server(node(database, tmp_path), open_plane=fake_plane) as server:
            site = Site(server, tmp_path, http)
            socket = await site.join(session, site.token(session))
            assert (await expect(socket, "welcome"))["session"]["e2ee"] is False
            await socket.close()


async def test_a_database_that_goes_away_is_503_and_all_is_well_when_it_is_back(database, tmp_path):
    settings = node(database, tmp_path)
    project = new_project(random_bytes=os.urandom(44), now_ms=0)
    store = await open_store(settings.storage)
    await store.add_project(project)
    await store.close()
    async with (
        running_server(settings, open_plane=fake_plane) as server,
        aiohttp.ClientSession() as http,
    ):
        assert (await rest_status(http, server, project))[0] == 200
        with unreachable(database):
            assert await ready(http, server) == 503
            assert await rest_status(http, server, project) == (503, "storage_unavailable")
        # The storage is tried once a second at most; until then the last answer stands.
        await asyncio.sleep(1.1)
        assert await ready(http, server) == 200
        status, made = await rest_status(http, server, project)
        assert status == 200
        assert made[0]["partner_id"] == project.api_key


async def test_a_dump_taken_while_serving_is_restored_with_the_sealing_key(
    database, postgres_server, tmp_path
):
    """The commands that docs/operations.md names."""
    dump, restored = tmp_path / "dump", postgres.fresh_database(postgres_server)
    async with (
        running_server(node(database, tmp_path), open_plane=fake_plane) as server,
        aiohttp.ClientSession() as http,
    ):
        session = await Site(server, tmp_path, http).session(e2ee=True)
        await run("pg_dump", "--format=custom", f"--file={dump}", database)
        lost = await Site(server, tmp_path, http).session()
    await run("pg_restore", "--no-owner", f"--dbname={restored}", dump)
    async with (
        running_server(node(restored, tmp_path), open_plane=fake_plane) as server,
        aiohttp.ClientSession() as http,
    ):
        site = Site(server, tmp_path, http)
        for wanted, tag in ((session, "welcome"), (lost, "error")):
            socket = await site.join(wanted, site.token(wanted))
            assert (await expect(socket, tag))["t"] == tag
            await socket.close()


async def run(program, *arguments):
    done = await asyncio.create_subprocess_exec(postgres.programs() / program, *map(str, arguments))
    assert await done.wait() == 0
