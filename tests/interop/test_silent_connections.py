"""Every listener of a real server has a gate: strangers who open connections and say nothing, or
begin a TLS handshake and do not end it, keep nobody out."""

import asyncio
import contextlib
import re
import resource
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from bench.ports import free_port
from tests.certificates import write_certificate
from tests.served import Server, until

pytestmark = pytest.mark.interop

MOST, MOST_OF_NETWORK = 200, 60
SILENT = 300
MEDIA_TCP_OF_NETWORK = 256
"""`MAX_PER_PREFIX` of the core."""
FLOODER, NEIGHBOR, OTHER = "127.0.1.1", "127.0.1.2", "127.0.2.1"
CLIENT_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(100)
TRUSTING = ssl.create_default_context()
TRUSTING.check_hostname, TRUSTING.verify_mode = False, ssl.CERT_NONE


@dataclass(frozen=True)
class Listener:
    protocol: str
    port: int


def socket_inodes(pid: int) -> set[str]:
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            inodes |= set(re.findall(r"socket:\[(\d+)\]", str(link.readlink())))
    return inodes


def listeners(pid: int) -> set[Listener]:
    """The sockets of a process that take what strangers send (Linux)."""
    inodes, found = socket_inodes(pid), set()
    for protocol, states in (("tcp", {"0A"}), ("udp", {"07"})):
        for table in (protocol, f"{protocol}6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                (
                    _,
                    local,
                    _,
                    state,
                    *_,
                ) = words = line.split()
                if words[9] in inodes and state in states:
                    found.add(Listener(protocol, int(local.rpartition(":")[2], 16)))
    return found


def sockets_of(pid: int) -> int:
    return len(socket_inodes(pid))


def leave_descriptors(pid: int, count: int) -> None:
    most = len(list(Path(f"/proc/{pid}/fd").iterdir())) + count
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))


class Crowd:
    """Connections of one address that are opened and left alone."""

    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []
        self.reading: list[asyncio.Task] = []

    async def come(self, port: int, source: str, count: int, first: bytes = b"") -> None:
        for _ in range(count):
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, local_addr=(source, 0)
                )
                writer.write(first)
            except ConnectionError:
                continue
            self.writers.append(writer)
            self.reading.append(asyncio.create_task(self._read(reader)))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                pass

    @property
    def held(self) -> int:
        return sum(not task.done() for task in self.reading)

    async def leave(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.gather(*self.reading)


@pytest.fixture
async def crowd():
    made = Crowd()
    yield made
    await made.leave()


@pytest.fixture
async def server(tmp_path):
    """With TLS, two workers, few places, and deadlines that end nothing during a test."""
    write_certificate(tmp_path)
    config = {
        "SEALROUTE_HTTP_TLS_CERTIFICATE": str(tmp_path / "certificate.pem"),
        "SEALROUTE_HTTP_TLS_KEY": str(tmp_path / "key.pem"),
        "SEALROUTE_HTTP_READ_TIMEOUT_MS": "60000",
        "SEALROUTE_HTTP_PENDING_CONNECTIONS": str(MOST),
        "SEALROUTE_HTTP_PENDING_CONNECTIONS_OF_NETWORK": str(MOST_OF_NETWORK),
        "SEALROUTE_OPERATIONS_PORT": str(free_port()),
        "SEALROUTE_MEDIA_PORT": "0",
        "SEALROUTE_MEDIA_WORKERS": "2",
    }
    made = Server(tmp_path / "data", e2ee=True, config=config)
    made.url = made.url.replace("http:", "https:")
    made.operations = int(config["SEALROUTE_OPERATIONS_PORT"])
    await made.start()
    yield made
    await made.stop()


async def health(server, source: str) -> int:
    connector = aiohttp.TCPConnector(local_addr=(source, 0))
    timeout = aiohttp.ClientTimeout(total=5)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as http,
        http.get(f"{server.url}/healthz", ssl=TRUSTING) as answer,
    ):
        return answer.status


async def counted(server, metric: str) -> dict[str, float]:
    """A counter of the server, by reason."""
    url = f"http://127.0.0.1:{server.operations}/metrics"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        text = await answer.text()
    found = re.findall(metric + r'\{reason="(\w+)"\} (\S+)', text)
    return {reason: float(value) for reason, value in found}


async def ended(server) -> dict[str, float]:
    return await counted(server, "sealroute_http_connections_ended_total")


def places(listener: Listener, server) -> int:
    """How many silent connections of one network a TCP listener holds."""
    ours = {server.operations, int(server.url.rpartition(":")[2])}
    return MOST_OF_NETWORK if listener.port in ours else MEDIA_TCP_OF_NETWORK


async def test_every_listener_has_a_gate(server, crowd):
    found = listeners(server.process.pid)
    # HTTP, operations, and for each of two workers UDP and TCP on one port.
    assert sorted(one.protocol for one in found) == ["tcp"] * 4 + ["udp"] * 2
    for listener in sorted(
        (one for one in found if one.protocol == "tcp"), key=lambda one: one.port
    ):
        most = places(listener, server)
        before = crowd.held
        await crowd.come(listener.port, FLOODER, SILENT)
        await until(lambda: crowd.held - before <= most)  # noqa: B023 - of this turn
        # Somebody else is not kept out by them.
        await crowd.come(listener.port, OTHER, 1)
        await asyncio.sleep(0.2)
        assert (crowd.held - before, not crowd.reading[-1].done()) == (most + 1, True)
    media = {one.port for one in found if one.protocol == "udp"}
    assert media <= {one.port for one in found if one.protocol == "tcp"}


async def test_junk_on_a_media_port_is_counted_and_not_answered(server):
    port = next(one.port for one in listeners(server.process.pid) if one.protocol == "udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((FLOODER, 0))
        stranger.setblocking(False)
        for kind in (b"\x80\x60", b"\x16\xfe\xfd", b"\x00\x01\x00\x00\x21\x12\xa4\x42", b"\xff"):
            for _ in range(250):
                stranger.sendto(kind + bytes(60), ("127.0.0.1", port))
        await asyncio.sleep(0.3)
        with pytest.raises(BlockingIOError):
            stranger.recv(2_048)
    dropped = await counted(server, "sealroute_packets_dropped_total")
    assert sum(dropped.values()) >= 1_000


async def test_silent_sockets_and_half_handshakes_keep_nobody_out(server, crowd):
    port = int(server.url.rpartition(":")[2])
    before = sockets_of(server.process.pid)
    for number in range(1, 6):
        await crowd.come(port, f"127.0.{number}.1", SILENT // 5)
        await crowd.come(port, f"127.0.{number}.2", SILENT // 5, CLIENT_HELLO)
    await until(lambda: crowd.held <= MOST)
    assert sockets_of(server.process.pid) - before <= MOST + 2
    # Neighbors of the flooders, and others.
    for source in (NEIGHBOR, OTHER, "127.0.9.1"):
        assert await health(server, source) == 200
    assert (await ended(server))["gave_way"] >= 2 * SILENT - MOST


async def test_a_member_stays_while_its_network_floods(server, crowd):
    port = int(server.url.rpartition(":")[2])
    token = await server.token()
    connector = aiohttp.TCPConnector(local_addr=(NEIGHBOR, 0))
    async with aiohttp.ClientSession(connector=connector) as http:
        ws = await http.ws_connect(
            f"{server.url}/v1/signal", protocols=["sealroute.v2.json"], ssl=TRUSTING
        )
        hello = {"t": "hello", "id": 1, "apiKey": server.api_key, "sessionId": server.session_id}
        hello |= {"token": token, "sdk": {"name": "test", "version": "1"}}
        await ws.send_json({**hello, "e2ee": {"formats": ["e2ee/2"]}})
        assert (await ws.receive_json(timeout=5))["t"] == "welcome"
        await crowd.come(port, FLOODER, SILENT)
        await crowd.come(port, FLOODER, SILENT, CLIENT_HELLO)
        await until(lambda: crowd.held <= MOST_OF_NETWORK)
        await ws.send_json({"t": "ping", "id": 2})
        assert (await ws.receive_json(timeout=5))["t"] == "pong"
        await ws.close()


async def test_a_handshake_that_fails_frees_its_place_and_is_counted(server, crowd):
    port = int(server.url.rpartition(":")[2])
    before = sockets_of(server.process.pid)
    await crowd.come(port, FLOODER, 20, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await until(lambda: crowd.held == 0)
    await until(lambda: sockets_of(server.process.pid) <= before)
    assert (await ended(server))["tls_failed"] == 20


async def test_where_the_system_gives_no_more_descriptors_others_are_served(server, crowd):
    pid, port = server.process.pid, int(server.url.rpartition(":")[2])
    assert await health(server, OTHER) == 200
    leave_descriptors(pid, 30)
    await crowd.come(port, FLOODER, MOST_OF_NETWORK)
    for _ in range(3):
        assert await health(server, OTHER) == 200
    assert (await ended(server))["no_descriptors"] >= 1


async def test_a_flood_that_goes_on_while_descriptors_are_short_shuts_nobody_out(server, crowd):
    """Neither from the other listener of the process, which has its descriptors in common."""
    pid, port = server.process.pid, int(server.url.rpartition(":")[2])
    leave_descriptors(pid, 60)

    async def flood() -> None:
        while True:
            await crowd.come(port, FLOODER, 10)
            await asyncio.sleep(0.1)  # real time: a flood has a pace

    flooding = asyncio.create_task(flood())
    try:
        for _ in range(8):
            async with asyncio.timeout(3):
                assert await health(server, OTHER) == 200
            async with asyncio.timeout(3):
                assert isinstance(await ended(server), dict)
            await asyncio.sleep(0.5)  # real time, too
    finally:
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
    assert (await ended(server))["no_descriptors"] >= 1
