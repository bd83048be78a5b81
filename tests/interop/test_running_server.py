"""The whole server on loopback with the media plane in memory: REST and WebSocket together."""

import asyncio
import io
import json
import logging
import sys
import time
from dataclasses import replace

import aiohttp
import jwt
import opentok
import pytest
import structlog
from aiohttp import web

from config.settings import (
    CallbackSettings,
    HttpSettings,
    OperationsSettings,
    Settings,
    SignalingSettings,
    StorageSettings,
)
from signaling.administration import DEVELOPMENT_FILE
from signaling.cli.command_line import main as sealroute
from signaling.draining import DrainEnd
from signaling.logs import configure_logs
from signaling.server import running_server
from signaling.storage.sqlite import open_sqlite
from tests.fakes.media_plane import FakeMediaPlane

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
]


def settings_in(folder, **signaling):
    return Settings(
        http=HttpSettings(host="127.0.0.1", port=0),
        storage=StorageSettings(data_dir=str(folder), development_project=True),
        signaling=SignalingSettings(**signaling),
    )


def fake_plane(_settings):
    return FakeMediaPlane(connect_at_once=True), 0


class Site:
    """A running server, its development project, and what an application does with both."""

    def __init__(self, server, folder, http):
        self.url, self.http, self.welcome = server.url, http, server.welcome
        self.operations_url = f"http://127.0.0.1:{server.operations_port}"
        project = json.loads((folder / DEVELOPMENT_FILE).read_text())
        self.key, self.secret = project["apiKey"], project["apiSecret"]
        self.application = opentok.Client(self.key, self.secret, api_url=self.url)

    async def call(self, function, *args, **kwargs):
        """Runs a blocking call of the SDK beside the loop."""
        return await asyncio.to_thread(function, *args, **kwargs)

    async def session(self, **options):
        create = self.application.create_session
        made = await self.call(create, media_mode=opentok.MediaModes.routed, **options)
        return made.session_id

    def token(self, session_id, role=opentok.Roles.publisher, **options):
        return self.application.generate_token(session_id, role, **options)

    async def join(self, session_id, token, **hello):
        socket = await self.http.ws_connect(
            self.url + "/v1/signal", protocols=("sealroute.v2.json",)
        )
        await socket.send_json(
            {
                "t": "hello",
                "id": 1,
                "apiKey": self.key,
                "sessionId": session_id,
                "token": token,
                "sdk": {"name": "test", "version": "1"},
                "e2ee": {"formats": ["e2ee/2"]},
                **hello,
            }
        )
        return socket


async def expect(socket, tag):
    """The next message with that tag; others in between are passed over."""
    while True:
        message = await asyncio.wait_for(socket.receive_json(), 5)
        if message["t"] == tag:
            return message


@pytest.fixture
async def site(tmp_path):
    async with (
        running_server(settings_in(tmp_path), open_plane=fake_plane) as server,
        aiohttp.ClientSession() as http,
    ):
        yield Site(server, tmp_path, http)


async def test_a_first_start_says_how_to_make_the_first_call_without_the_secret(site):
    assert site.key in site.welcome
    assert "opentok.create_session" in site.welcome
    assert DEVELOPMENT_FILE in site.welcome
    assert site.secret not in site.welcome


async def test_a_server_makes_no_project_unless_it_is_asked_to(tmp_path):
    settings = replace(settings_in(tmp_path), storage=StorageSettings(data_dir=str(tmp_path)))
    for _ in range(2):
        async with running_server(settings, open_plane=fake_plane) as server:
            assert "sealroute project create" in server.welcome
            assert server.media_addresses
    assert not (tmp_path / DEVELOPMENT_FILE).exists()
    store = await open_sqlite(tmp_path)
    assert not await store.projects()
    await store.close()


async def test_probes_answer(site):
    for path, text in (("/healthz", "ok"), ("/readyz", "ready")):
        async with site.http.get(site.url + path) as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, text)


async def test_a_client_joins_with_a_token_of_the_sdk_and_rest_sees_and_moderates_it(site):
    session = await site.session(e2ee=True)
    socket = await site.join(session, site.token(session, data="Bob"))
    welcome = await expect(socket, "welcome")
    connection = welcome["connection"]["connectionId"]
    assert welcome["session"]["e2ee"] is True
    assert welcome["connection"]["data"] == "Bob"
    await site.call(site.application.send_signal, session, {"type": "t", "data": "hello"})
    received = await expect(socket, "signalReceived")
    assert (received.get("from"), received["data"]) == (None, "hello")
    assert (await site.call(site.application.mute_all, session, [])).status_code == 200
    assert (await expect(socket, "muteForced"))["active"] is True
    await site.call(site.application.force_disconnect, session, connection)
    assert (await expect(socket, "disconnected"))["reason"] == "forceDisconnected"
    await socket.close()


async def test_a_token_that_is_not_good_does_not_join(site):
    session, other = await site.session(), await site.session()
    for token in (site.token(other), "T1==x", "x.y.z", ""):
        socket = await site.join(session, token)
        assert (await expect(socket, "error"))["name"] == "OT_AUTHENTICATION_ERROR"
        await socket.close()


async def test_an_encrypted_session_refuses_an_archive_while_a_client_is_in_it(site):
    session = await site.session(e2ee=True)
    socket = await site.join(session, site.token(session))
    await expect(socket, "welcome")
    with pytest.raises(opentok.ArchiveError, match="end-to-end encrypted"):
        await site.call(site.application.start_archive, session)
    await socket.close()


async def test_when_the_server_goes_down_every_client_is_notified(tmp_path):
    async with aiohttp.ClientSession() as http:
        async with running_server(settings_in(tmp_path), open_plane=fake_plane) as server:
            site = Site(server, tmp_path, http)
            session = await site.session()
            sockets = [await site.join(session, site.token(session)) for _ in range(3)]
            for socket in sockets:
                await expect(socket, "welcome")
        for socket in sockets:
            assert (await expect(socket, "disconnected"))["reason"] == "serverShutdown"
            await socket.close()


async def test_a_server_that_drains_lets_calls_go_on_and_nobody_in(tmp_path):
    second_signal = asyncio.Event()

    async def hurried(_seconds):
        await second_signal.wait()
        return True

    async with aiohttp.ClientSession() as http:
        settings = settings_in(tmp_path, drain_s=600)
        async with running_server(settings, open_plane=fake_plane) as server:
            site = Site(server, tmp_path, http)
            session = await site.session()
            inside = await site.join(session, site.token(session))
            await expect(inside, "welcome")
            draining = asyncio.create_task(server.drain(hurried))
            await asyncio.sleep(0)
            for session_id in (session, await site.session()):
                outside = await site.join(session_id, site.token(session_id))
                assert (await expect(outside, "error"))["code"] == "server_shutdown"
                await outside.receive()
                assert outside.close_code == 1012
            async with http.get(f"{server.url}/readyz") as answer:
                assert (answer.status, (await answer.json())["status"]) == (503, "draining")
            async with http.get(f"{site.operations_url}/metrics") as answer:
                text = await answer.text()
            assert "sealroute_draining 1.0" in text
            assert 'sealroute_joins_total{result="server_shutdown"} 2.0' in text
            await inside.send_json({"t": "signal", "id": 2, "data": "still here"})
            assert (await expect(inside, "signalReceived"))["data"] == "still here"
            assert not draining.done()
            second_signal.set()
            assert await draining is DrainEnd.HURRIED
        assert (await expect(inside, "disconnected"))["reason"] == "serverShutdown"
        await inside.close()


async def test_the_command_line_lists_the_sessions_that_clients_are_in(tmp_path, capsys):
    async with (
        running_server(settings_in(tmp_path), open_plane=fake_plane) as server,
        aiohttp.ClientSession() as http,
    ):
        site = Site(server, tmp_path, http)
        words = ["session", "list", "--url", server.url, "--data-dir", str(tmp_path)]

        async def listed():
            assert await asyncio.to_thread(sealroute, [*words, "--json"]) == 0
            return json.loads(capsys.readouterr().out.splitlines()[-1])

        session, _empty = await site.session(e2ee=True), await site.session()
        assert await listed() == []
        sockets = [await site.join(session, site.token(session)) for _ in range(2)]
        for socket in sockets:
            await expect(socket, "welcome")
        (found,) = await listed()
        assert (found["sessionId"], found["apiKey"]) == (session, site.key)
        assert (found["e2ee"], found["connectionCount"], found["streamCount"]) == (True, 2, 0)
        assert await asyncio.to_thread(sealroute, [*words, "--api-key", "1"]) == 1
        for socket in sockets:
            await socket.close()


async def test_the_application_is_called_for_what_ends_with_a_server_too(tmp_path):
    """Across a stop and a start: in order, once each, and with the reason."""
    reported, complete = [], asyncio.Event()

    async def application(request):
        reported.append(await request.json())
        if reported[-1]["event"] == "sessionDestroyed":
            complete.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/events", application)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    settings = settings_in(tmp_path)
    settings = replace(settings, callbacks=CallbackSettings(allowed_networks="127.0.0.0/8"))
    async with aiohttp.ClientSession() as http:
        async with running_server(settings, open_plane=fake_plane) as server:
            site = Site(server, tmp_path, http)
            for group in ("session", "connection"):
                for event in ("created", "destroyed"):
                    await register(site, {"group": group, "event": event, "url": url})
            session = await site.session(e2ee=True)
            socket = await site.join(session, site.token(session, data="Bob"))
            await expect(socket, "welcome")
        await socket.close()
        async with running_server(settings, open_plane=fake_plane):
            await asyncio.wait_for(complete.wait(), 10)
    await runner.cleanup()
    assert [one["event"] for one in reported] == [
        "sessionCreated",
        "connectionCreated",
        "connectionDestroyed",
        "sessionDestroyed",
    ]
    assert {one["sessionId"] for one in reported} == {session}
    assert (reported[0]["e2ee"], reported[0]["projectId"]) == (True, site.key)
    assert reported[2]["reason"] == "networkDisconnected"
    assert reported[2]["connection"]["data"] == "Bob"


async def register(site, wanted):
    """As the Node SDK does it."""
    now_s = int(time.time())
    claims = {"iss": site.key, "ist": "project", "iat": now_s, "exp": now_s + 60}
    token = jwt.encode(claims, site.secret, algorithm="HS256")
    path = f"{site.url}/v2/project/{site.key}/callback"
    headers = {"X-OPENTOK-AUTH": token}
    async with site.http.post(path, json=wanted, headers=headers) as answer:
        assert answer.status == 200
        return await answer.json()


async def test_a_restart_keeps_projects_and_sessions(tmp_path):
    async with aiohttp.ClientSession() as http:
        async with running_server(settings_in(tmp_path), open_plane=fake_plane) as server:
            site = Site(server, tmp_path, http)
            session = await site.session(e2ee=True)
        async with running_server(settings_in(tmp_path), open_plane=fake_plane) as server:
            assert DEVELOPMENT_FILE in server.welcome
            site = Site(server, tmp_path, http)
            socket = await site.join(session, site.token(session))
            assert (await expect(socket, "welcome"))["session"]["e2ee"] is True
            await socket.close()


async def test_no_token_no_secret_and_no_data_of_anybody_reaches_the_log(tmp_path, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs("debug", "json")
    try:
        async with (
            running_server(settings_in(tmp_path), open_plane=fake_plane) as server,
            aiohttp.ClientSession() as http,
        ):
            site = Site(server, tmp_path, http)
            session = await site.session(e2ee=True)
            token, bad = site.token(session, data="connection-data-of-bob"), "T1==YmFkLXRva2Vu"
            for presented in (token, bad):
                socket = await site.join(session, presented)
                await socket.receive()
                await socket.send_json(
                    {"t": "signal", "id": 2, "data": "signal-data", "encryptionSecret": "s3cr3t!"}
                )
                await asyncio.wait_for(socket.receive(), 5)
                await socket.close()
            with pytest.raises(opentok.ArchiveError):
                await site.call(site.application.start_archive, session)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    text = stream.getvalue()
    assert "listening" in text
    for secret in (
        token,
        token.split(".")[2],
        bad,
        bad[4:],
        site.secret,
        "connection-data-of-bob",
        "signal-data",
        "s3cr3t!",
    ):
        assert secret not in text


async def test_metrics_are_on_the_operators_port_and_a_taken_one_stops_no_calls(tmp_path):
    settings = Settings(
        http=HttpSettings(host="127.0.0.1", port=0),
        storage=StorageSettings(data_dir=str(tmp_path / "a")),
    )
    async with (
        running_server(settings, open_plane=fake_plane) as first,
        aiohttp.ClientSession() as http,
    ):
        url = f"http://127.0.0.1:{first.operations_port}/metrics"
        async with http.get(url) as answer:
            assert "sealroute_sessions" in await answer.text()
        taken = replace(
            settings,
            operations=OperationsSettings(port=first.operations_port),
            storage=StorageSettings(data_dir=str(tmp_path / "b")),
        )
        async with running_server(taken, open_plane=fake_plane) as second:
            assert second.operations_port is None
            async with http.get(f"{second.url}/healthz") as answer:
                assert answer.status == 200


async def test_a_server_on_all_ipv6_addresses_is_reached_over_both_families(tmp_path):
    settings = settings_in(tmp_path)
    settings = replace(settings, http=HttpSettings(host="::", port=0))
    async with (
        running_server(settings, open_plane=fake_plane) as server,
        aiohttp.ClientSession() as http,
    ):
        for host in ("127.0.0.1", "[::1]"):
            async with http.get(f"http://{host}:{server.http_port}/healthz") as answer:
                assert answer.status == 200
