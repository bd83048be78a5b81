"""Renders of live sessions: a real browser in its jail shows a page, and people see and hear it."""

import asyncio
import contextlib
import os
import select
import socket
import time
from pathlib import Path

import jwt
import numpy as np
import opentok
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from config.render_settings import RenderSettings
from config.settings import CallbackSettings, EgressSettings
from tests.interop.test_sip_calls import hears
from tests.jailed_browsers import browsers_below, end, runner_of, tabs_below
from tests.media_site import media_site
from tests.rendered_page import COLOR, NEEDS_A_JAILED_BROWSER, TONE_HZ, Pages
from tests.served import NEEDS_THE_MEDIA_CORE, Server, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_THE_MEDIA_CORE,
    NEEDS_A_JAILED_BROWSER,
]


@pytest.fixture
async def site(request, tmp_path):
    """Its parameter: other settings of renders."""
    settings = {"load_s": 60, **getattr(request, "param", {})}
    sections = {
        "render": RenderSettings(**settings),
        "egress": EgressSettings(allowed_networks="127.0.0.1/32"),
        "callbacks": CallbackSettings(allowed_networks="127.0.0.0/8"),
    }
    async with media_site(tmp_path, **sections) as one:
        yield one


@pytest.fixture
async def pages():
    found = Pages()
    async with TestServer(found.app) as server:
        found.url = str(server.make_url("/")).rstrip("/")
        yield found


async def render(site, session: str, url: str, **options):
    """What the SDK gets of a start."""
    call = site.application.start_render
    return await asyncio.to_thread(call, session, site.token(session), url, **options)


async def became(site, render_id: str, status: str, stream: str | None = None):
    """The render once it is that, or something else for good."""
    async with asyncio.timeout(90):
        while True:
            found = await asyncio.to_thread(site.application.get_render, render_id)
            if found.status in (status, "stopped", "failed"):
                assert found.status == status, found.reason
                if stream in (None, found.streamId):
                    return found
            await asyncio.sleep(0.2)


async def ended(site, render_id: str):
    """The render once it is over; it may have been started before."""
    async with asyncio.timeout(90):
        while True:
            found = await asyncio.to_thread(site.application.get_render, render_id)
            if found.status in ("stopped", "failed"):
                return found
            await asyncio.sleep(0.2)


def runs(pid: int) -> bool:
    """Whether a process is there, and not only what is left of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def runners() -> set[int]:
    """The processes of renders that have a browser. A browser that forks looks like two."""
    found = set()
    for browser in browsers_below(os.getpid()):
        with contextlib.suppress(OSError):  # it was one of those that look so for a moment
            found.add(runner_of(browser, os.getpid()))
    return found


def command_lines() -> list[str]:
    """Of all processes of this machine, as every user of it may read them."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(one.read_bytes().replace(b"\0", b" ").decode())
    return found


class Canary:
    """Listens where no page may come, over UDP and TCP."""

    def __init__(self) -> None:
        self.host = "127.0.0.2"
        self._tcp = socket.create_server((self.host, 0))
        self.port = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((self.host, self.port))

    def arrivals(self) -> list[socket.socket]:
        return select.select([self._tcp, self._udp], [], [], 0)[0]

    def close(self) -> None:
        self._tcp.close()
        self._udp.close()


async def sees(subscriber, color) -> None:
    """Until a color is in the middle of what a client sees."""
    async with asyncio.timeout(60):
        async for image in subscriber.video:
            pixels = image.to_ndarray(format="rgb24")
            middle = pixels[image.height // 2 :, image.width // 2 :].reshape(-1, 3).mean(axis=0)
            if np.abs(middle - color).max() < 12:
                return


async def test_a_page_is_a_stream_with_video_and_audio(site, pages) -> None:
    session = await site.session()
    ben = await site.join(session)
    made = await render(site, session, f"{pages.url}/colored", properties={"name": "overlay"})
    assert made.status == "starting"
    await until(lambda: ben.streams, 60)
    stream = next(iter(ben.streams.values()))
    assert (stream["name"], stream["videoType"]) == ("overlay", "custom")
    subscriber = await ben.subscribe(stream)
    await asyncio.gather(sees(subscriber, COLOR), hears(subscriber, TONE_HZ))
    shown = await became(site, made.id, "started")
    assert shown.streamId == stream["streamId"]
    # Every user of the machine reads command lines and, of its own processes, environments.
    read = "\n".join(command_lines())
    assert "--remote-debugging-pipe" in read
    for secret in (f"{pages.url}/colored", session, "T1=="):
        assert secret not in read
    await asyncio.to_thread(site.application.stop_render, made.id)
    await until(lambda: not ben.streams)
    await until(lambda: not browsers_below(os.getpid()), 20)
    assert pages.asked[0] == "colored"


@pytest.mark.long
async def test_a_hostile_page_reaches_nothing_but_the_world(site, pages) -> None:
    session = await site.session()
    ben = await site.join(session)
    with contextlib.closing(Canary()) as canary:
        where = f"host={canary.host}&port={canary.port}"
        made = await render(site, session, f"{pages.url}/hostile?{where}")
        await became(site, made.id, "started")
        await until(lambda: pages.found, 60)
        assert canary.arrivals() == []
        with socket.create_connection((canary.host, canary.port)):
            assert canary.arrivals() != []
        await asyncio.to_thread(site.application.stop_render, made.id)
    found = dict(pages.found)
    assert found.pop("webrtc") == "candidates 0"
    # A frame that a browser refuses to fill is loaded, with its own words or with nothing.
    assert "root:" not in found.pop("file")
    for window in ("window", "other window"):
        found.pop(window)
    # What answers is the proxy: no page can read it, and nobody else was asked.
    reached = {what for what, result in found.items() if not result.startswith("refused")}
    assert reached <= {"metadata", "http", "localhost", "publisher", "door", "redirect", "capture"}
    assert list(ben.streams) == []


@pytest.mark.long
async def test_what_crashes_comes_back_once(site, pages) -> None:
    session = await site.session()
    ben = await site.join(session)
    made = await render(site, session, f"{pages.url}/colored")
    first = (await became(site, made.id, "started")).streamId
    for tab in tabs_below(os.getpid()):
        end(tab)
    await until(lambda: ben.streams and first not in ben.streams, 60)
    (second,) = ben.streams
    await sees(await ben.subscribe(ben.streams[second]), COLOR)
    await became(site, made.id, "started", second)
    for browser in browsers_below(os.getpid()):
        end(browser)
    failed = await became(site, made.id, "failed")
    assert failed.reason == "The browser crashed twice."
    await until(lambda: not ben.streams)


@pytest.mark.long
async def test_a_browser_that_waits_shows_the_page_when_the_process_of_the_render_is_killed(
    site, pages
) -> None:
    session = await site.session()
    ben = await site.join(session)
    made = await render(site, session, f"{pages.url}/colored")
    first = (await became(site, made.id, "started")).streamId
    (shown,) = runners()
    await until(lambda: len(runners()) == 2, 60)
    (waiting,) = runners() - {shown}
    end(shown)
    await until(lambda: ben.streams and first not in ben.streams, 60)
    (second,) = ben.streams
    await sees(await ben.subscribe(ben.streams[second]), COLOR)
    await became(site, made.id, "started", second)
    assert runs(waiting)
    assert not runs(shown)


@pytest.mark.long
@pytest.mark.parametrize(
    ("site", "path", "reason"),
    [
        ({}, "/missing", "The page answered 404."),
        ({}, "/redirect?to=http://10.0.0.1/", "The page answered 403."),
        ({}, "/redirect?to=file:///etc/passwd", "The page cannot be loaded: net::ERR"),
        ({"load_s": 3}, "/endless", "The page did not load in 3 s."),
        ({"load_s": 3}, "/loop-at-once", "The page did not load in 3 s."),
        ({"hang_s": 4}, "/loop", "The page did not answer for 4 s."),
        ({"hang_s": 4}, "/alerts", "The page did not answer for 4 s."),
        ({}, "/goes-on", "The page goes to another page again and again."),
        ({"memory_mb": 1_024}, "/greedy", "The page takes more than 1024 MB of memory."),
    ],
    indirect=["site"],
)
async def test_why_a_page_is_not_shown(site, pages, path, reason) -> None:
    session = await site.session()
    made = await render(site, session, pages.url + path)
    failed = await ended(site, made.id)
    assert failed.reason.startswith(reason)
    await until(lambda: not browsers_below(os.getpid()), 20)


@pytest.mark.long
async def test_a_page_drawn_by_webgl_is_seen(site, pages) -> None:
    session = await site.session()
    ben = await site.join(session)
    await render(site, session, f"{pages.url}/drawn")
    await until(lambda: ben.streams, 60)
    (stream,) = ben.streams.values()
    await sees(await ben.subscribe(stream, audio=False), COLOR)


@pytest.mark.long
async def test_a_killed_server_leaves_no_browser_and_reports_the_end(tmp_path, pages) -> None:
    networks = {
        "SEALROUTE_EGRESS_ALLOWED_NETWORKS": "127.0.0.1/32",
        "SEALROUTE_CALLBACKS_ALLOWED_NETWORKS": "127.0.0.1/32",
    }
    server = Server(tmp_path, e2ee=False, config=networks)
    await server.start()
    application = opentok.Client(server.api_key, server.project["apiSecret"], api_url=server.url)
    token = await server.token()
    wanted = {
        "sessionId": server.session_id,
        "token": token,
        "url": f"{pages.url}/colored",
        "statusCallbackUrl": f"{pages.url}/status",
    }
    now = int(time.time())
    claims = {"iss": server.api_key, "ist": "project", "iat": now, "exp": now + 180}
    signed = jwt.encode(claims, server.project["apiSecret"], algorithm="HS256")
    path = f"{server.url}/v2/project/{server.api_key}/render"
    async with ClientSession() as http:
        headers = {"X-OPENTOK-AUTH": signed}
        async with http.post(path, json=wanted, headers=headers) as answer:
            made = await answer.json()
            assert answer.status == 202
    await until(lambda: "started" in pages.statuses, 60)
    left = browsers_below(server.process.pid)
    assert len(left) == 1
    server.process.kill()
    await server.process.wait()
    await until(lambda: not [pid for pid in left if runs(pid)], 20)
    await server.serve()
    await until(lambda: pages.statuses[-1] == "failed", 60)
    over = await asyncio.to_thread(application.get_render, made["id"])
    assert (over.status, over.reason) == ("failed", "Internal server failure")
    await server.stop()


@pytest.mark.long
async def test_a_moderator_ends_a_render_like_any_client(site, pages) -> None:
    session = await site.session()
    ben = await site.join(session)
    made = await render(site, session, f"{pages.url}/colored")
    await until(lambda: ben.streams, 60)
    (stream,) = ben.streams.values()
    await asyncio.to_thread(site.application.force_disconnect, session, stream["connectionId"])
    stopped = await became(site, made.id, "stopped")
    assert stopped.reason == "Client disconnected"
    await until(lambda: not browsers_below(os.getpid()), 20)
