"""What the library's unpublished names must mean; a new version of it has to pass this."""

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web_protocol import RequestHandler

from signaling.http.library import (
    LibraryConnection,
    LibraryFileResponse,
    LibraryRunner,
    LibraryServer,
)

ROOT = Path(__file__).parents[2]
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


class Site:
    """A server whose connections a test can look at, each at the moment of its request."""

    def __init__(self):
        self.made, self.seen = [], []
        self.go_on = asyncio.Event()
        site = self

        class Connection(LibraryConnection):
            __slots__ = ()

            def connection_made(self, transport):
                site.made.append(self)
                super().connection_made(transport)

        class Server(LibraryServer):
            def __call__(self):
                return Connection(self, **self.connection_options)

        class Runner(LibraryRunner):
            __slots__ = ()

            def twin(self, made):
                return Server(made, made.request_handler)

        app = web.Application()
        app.router.add_get("/", self.handle)
        self.runner = Runner(app, max_field_size=1_000, shutdown_timeout=0.1)

    async def handle(self, request):
        connection = request.protocol
        self.seen.append(
            (connection.requests_begun, connection.waits_for_request, connection.unparsed)
        )
        if "Upgrade" in request.headers:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            self.upgraded = connection.is_upgraded
            await socket.receive()
            return socket
        await self.go_on.wait()
        return web.Response(text="ok")


async def until(holds):
    """Turns of the loop until the server has come so far; the test's own time limit ends it."""
    while not holds():  # noqa: ASYNC110 - the library tells nobody
        await asyncio.sleep(0)


@pytest.fixture
async def site():
    site = Site()
    await site.runner.setup()
    listening = web.TCPSite(site.runner, "127.0.0.1", 0)
    await listening.start()
    site.where = site.runner.addresses[0]
    yield site
    await site.runner.cleanup()


async def test_the_library_is_the_pinned_one():
    pin = re.search(r'"aiohttp>=(\d+\.\d+),<(\d+\.\d+)"', (ROOT / "pyproject.toml").read_text())
    first, last = (tuple(map(int, bound.split("."))) for bound in pin.groups())
    assert (first[0], first[1] + 1) == last
    assert tuple(map(int, aiohttp.__version__.split(".")[:2])) == first
    assert f"aiohttp=={pin[1]}." in (ROOT / "constraints.txt").read_text()


async def test_a_connection_waits_for_a_request_until_its_head_is_there(site):
    reader, writer = await asyncio.open_connection(*site.where)
    await until(lambda: site.made and site.made[0].waits_for_request)
    (connection,) = site.made
    assert connection.loop is asyncio.get_running_loop()
    assert (connection.requests_begun, connection.is_upgraded) == (0, False)
    writer.write(HEAD)
    await writer.drain()
    writer.write(b"\r\n")
    await until(lambda: site.seen)
    assert site.seen == [(1, False, b"")]
    site.go_on.set()
    await reader.readuntil(b"ok")
    await until(lambda: connection.waits_for_request)
    assert connection.requests_begun == 1
    writer.close()


async def test_bytes_behind_an_upgrade_are_unparsed_until_it_is_answered(site):
    reader, writer = await asyncio.open_connection(*site.where)
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    close = b"\x88\x80\x00\x00\x00\x00"
    writer.write(HEAD + upgrade + key + close)
    await reader.readuntil(b"\r\n\r\n")
    assert site.seen == [(1, False, close)]
    assert site.upgraded
    writer.close()


async def test_unparsed_bytes_can_be_forgotten(site):
    _, writer = await asyncio.open_connection(*site.where)
    await until(lambda: site.made)
    (connection,) = site.made
    connection._message_tail = b"x"
    connection.forget_unparsed()
    assert connection.unparsed == b""
    writer.close()


@pytest.mark.parametrize("reason", ["_reading_paused", "_buffer_paused"])
async def test_the_transport_can_be_paused_beside_the_library(site, reason):
    _, writer = await asyncio.open_connection(*site.where)
    await until(lambda: site.made)
    (connection,) = site.made
    connection.pause_transport()
    assert not connection.transport.is_reading()
    assert not connection.reading_is_paused
    connection.resume_transport()
    assert connection.transport.is_reading()
    assert getattr(connection, reason) is False
    setattr(connection, reason, True)
    assert connection.reading_is_paused
    writer.close()


async def test_a_twin_has_the_options_of_the_server_that_it_replaces(site):
    server = site.runner.server
    assert isinstance(server, LibraryServer)
    assert server.connection_options["max_field_size"] == 1_000


def unpublished_names():
    classes = (*RequestHandler.__mro__, web.Server, web.AppRunner, web.TCPSite, web.BaseSite)
    names = {name for one in classes for name in (*vars(one), *getattr(one, "__slots__", ()))}
    return {name for name in names if re.match(r"_[a-z]", name)} | {"_kwargs"}


def test_no_other_module_uses_an_unpublished_name_of_it():
    """In modules that extend the library's classes, a private name that it has is its own."""
    uses = re.compile(r"\.(_[a-z]\w*)")
    found = [
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / "signaling").rglob("*.py")
        if path.name != "library.py"
        and re.search(r"\((Library|RequestHandler|web\.)", path.read_text())
        for name in uses.findall(path.read_text())
        if name in unpublished_names()
    ]
    assert found == []


async def test_a_file_is_sent_by_the_answer_itself_behind_its_head_whole_or_in_part(tmp_path):
    path, sent = tmp_path / "file", []
    path.write_bytes(b"0123456789")

    class Response(LibraryFileResponse):
        async def send(self, writer, file, offset, count):
            sent.append((offset, count))
            file.seek(offset)
            await writer.write(file.read(count))

    async def handle(_):
        return Response(path)

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestClient(TestServer(app)) as client:
        async with client.get("/") as answer:
            assert (answer.status, await answer.read()) == (200, b"0123456789")
        async with client.get("/", headers={"Range": "bytes=3-5"}) as answer:
            assert (answer.status, await answer.read()) == (206, b"345")
        async with client.head("/") as answer:
            assert answer.headers["Content-Length"] == "10"
    assert sent == [(0, 10), (3, 3)]
