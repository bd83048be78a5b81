"""The only way out of a render's browser, over loopback: where it leads, and where it does not."""

import asyncio
import contextlib
import socket
import ssl

import pytest

from sfu.egress.render.proxy import OwnServer, Proxy
from sfu.target_policy import TargetPolicy, networks
from tests.certificates import write_certificate


def listening():
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, listener.getsockname()[1]


class World:
    """A server that says what it was asked, and a proxy with two doors. `asked`: the heads that
    came to the server."""

    async def open(self, allowed, tls=None):
        self.asked: list[bytes] = []
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = self.server.sockets[0].getsockname()[1]
        own = OwnServer(
            ("127.0.0.1", self.port),
            secure=tls is not None,
            media={("198.51.100.1", 4000): ("127.0.0.1", self.port)},
        )
        self.proxy = Proxy(TargetPolicy(networks(allowed)), own)
        (world, self.world), (near, self.own) = listening(), listening()
        self.doors = await self.proxy.serve(world, near)

    async def _serve(self, reader, writer):
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        except EOFError:
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        await writer.drain()
        rest = await reader.read(5)
        if rest:
            writer.write(rest[::-1])
        writer.close()

    async def ask(self, door, *sent):
        """What comes back for these bytes, each sent after an answer to the one before."""
        reader, writer = await asyncio.open_connection("127.0.0.1", door)
        answers = []
        for one in sent:
            writer.write(one)
            try:
                answers.append(await reader.read(1_000))
            except ConnectionResetError:
                answers.append(b"")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return answers

    async def close(self):
        self.server.close()
        for door in self.doors:
            door.close()
        await self.proxy.close()
        await asyncio.sleep(0)  # the transports close


@pytest.fixture
async def world(request):
    world = World()
    await world.open(getattr(request, "param", "127.0.0.0/8"))
    yield world
    await world.close()


nothing_allowed = pytest.mark.parametrize("world", [""], indirect=True)


def connect(host, port):
    return f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode()


async def test_a_page_that_may_be_reached_is(world):
    target = f"http://127.0.0.1:{world.port}"
    (answer,) = await world.ask(world.world, f"GET {target}/a?b HTTP/1.1\r\n\r\n".encode())
    assert answer.endswith(b"hi")
    assert world.asked[0].startswith(b"GET /a?b HTTP/1.1\r\n")
    established, answer = await world.ask(
        world.world, connect("127.0.0.1", world.port), b"GET / HTTP/1.1\r\n\r\n"
    )
    assert established.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"hi")


@nothing_allowed
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "a.localhost", "publisher.localhost", "[::1]", "0.0.0.0",
     "169.254.169.254", "10.0.0.1", "192.168.1.1", "[::ffff:127.0.0.1]", "[fd00::1]", "127.1",
     "100.100.100.200", "[64:ff9b::7f00:1]", "0x7f000001", "2130706433"],
)  # fmt: skip
async def test_where_no_page_leads(world, host):
    for asked in (
        connect(host, world.port),
        f"GET http://{host}:{world.port}/ HTTP/1.1\r\n\r\n".encode(),
    ):
        (answer,) = await world.ask(world.world, asked)
        assert answer.split(b" ")[1] in (b"403", b"502", b"504")
    assert world.asked == []
    assert world.proxy.counts["requests_refused"] == 2


async def test_the_media_of_this_server_is_behind_the_other_door_alone(world):
    established, answer = await world.ask(world.own, connect("198.51.100.1", 4000), b"x\r\n\r\n")
    assert established.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"hi")
    for refused in (
        connect("198.51.100.1", 4001),
        connect("127.0.0.1", world.port),
        b"GET http://198.51.100.1:4000/ HTTP/1.1\r\n\r\n",
        b"GET http://example.com/ HTTP/1.1\r\n\r\n",
        b"GET http://publisher.localhost/v2/project HTTP/1.1\r\n\r\n",
        b"POST http://publisher.localhost/sdk/sealroute.js HTTP/1.1\r\n\r\n",
    ):
        (answer,) = await world.ask(world.own, refused)
        assert answer.startswith(b"HTTP/1.1 403 ")
    assert len(world.asked) == 1


async def test_the_publishing_tab_gets_its_page_the_sdk_and_its_signaling(world):
    (page,) = await world.ask(world.own, b"GET http://publisher.localhost/ HTTP/1.1\r\n\r\n")
    assert b"<script src=" in page
    sdk = b"GET http://publisher.localhost/sdk/sealroute.js HTTP/1.1\r\n\r\n"
    (script,) = await world.ask(world.own, sdk)
    assert script.endswith(b"hi")
    tunnel = connect("publisher.localhost", 80)
    upgrade = b"GET /v1/signal HTTP/1.1\r\nOrigin: http://publisher.localhost\r\nA: b\r\n\r\n"
    _, answer, echo = await world.ask(world.own, tunnel, upgrade, b"12345")
    assert (answer[-2:], echo) == (b"hi", b"54321")
    assert world.asked[-1] == b"GET /v1/signal HTTP/1.1\r\nA: b\r\n\r\n"
    _, nothing = await world.ask(world.own, tunnel, b"GET /v2/project/1 HTTP/1.1\r\n\r\n")
    assert nothing == b""
    assert len(world.asked) == 2


async def test_signaling_behind_tls_is_reached_too(tmp_path):
    write_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    world = World()
    await world.open("", tls)
    sdk = b"GET http://publisher.localhost/sdk/sealroute.js HTTP/1.1\r\n\r\n"
    (script,) = await world.ask(world.own, sdk)
    assert script.endswith(b"hi")
    await world.close()


async def test_a_second_request_on_a_connection_is_not_read_as_the_first_ones(world):
    first = f"GET http://127.0.0.1:{world.port}/1 HTTP/1.1\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", world.world)
    writer.write(first + b"GET http://10.0.0.1/2 HTTP/1.1\r\n\r\n")
    answer = await reader.read(1_000)
    writer.close()
    assert answer.endswith(b"hi")
    assert len(world.asked) == 1
    assert b"/2" not in world.asked[0]


async def test_a_page_has_so_many_connections(world, monkeypatch):
    monkeypatch.setattr("sfu.egress.render.proxy.CONNECTIONS", 1)
    held = await asyncio.open_connection("127.0.0.1", world.world)
    held[1].write(connect("127.0.0.1", world.port))
    await held[0].read(100)
    assert await world.ask(world.world, connect("127.0.0.1", world.port)) == [b""]
    assert world.proxy.counts["connections_refused"] == 1
    held[1].close()
    await held[1].wait_closed()
