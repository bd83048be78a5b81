"""Clients that are slow on purpose, over real sockets: none of them holds what it was given."""

import asyncio
import socket
import ssl
import struct
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import structlog.testing
from aiohttp import ClientSession, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config.settings import HttpSettings
from signaling.clock import SystemClock
from signaling.domain.errors import DomainError
from signaling.http.connection_gate import ConnectionGate, Ending
from signaling.http.reading import read_body
from signaling.http.runner import Deadlines, Gates, HttpRunner
from tests.served import until

pytestmark = pytest.mark.interop

DEADLINES = Deadlines(head_s=0.4, answer_s=0.4, idle_s=0.8)
TOGETHER = Deadlines(head_s=3.0, answer_s=60, idle_s=60)
"""Of a request as a whole. Neither twice that nor the library's ten seconds on top are in time."""
HEAD = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE_BYTES = 32 * 1024 * 1024
GIVEN_UP_S = 5.0


async def health(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


async def large(_request: web.Request) -> web.Response:
    return web.Response(body=bytes(LARGE_BYTES))


class Site:
    def __init__(self, port: int) -> None:
        self.port = port

    async def open(self, **options):
        return await asyncio.open_connection("127.0.0.1", self.port, **options)


async def slow_body(request: web.Request) -> web.Response:
    return web.Response(body=await read_body(request, 1_000, 60))


async def timed_body(request: web.Request) -> web.Response:
    try:
        return web.Response(body=await read_body(request, 1_000, TOGETHER.head_s))
    except DomainError:
        return web.Response(status=400)


async def long(_request: web.Request) -> web.Response:
    await asyncio.sleep(2)
    return web.Response(text="long")


async def running(
    deadlines: Deadlines, tls: ssl.SSLContext | None = None, gates: Gates | None = None
):
    app = web.Application()
    app.router.add_get("/healthz", health)
    app.router.add_post("/healthz", health)
    app.router.add_get("/large", large)
    app.router.add_get("/long", long)
    app.router.add_post("/body", slow_body)
    app.router.add_post("/timed", timed_body)
    runner = HttpRunner(app, deadlines, gates)
    await runner.listen("127.0.0.1", 0, tls)
    return runner, Site(runner.addresses[0][1])


@pytest.fixture
async def site():
    runner, made = await running(DEADLINES)
    yield made
    await runner.cleanup()


async def ended_after(reader: asyncio.StreamReader) -> float:
    began_s = time.monotonic()
    async with asyncio.timeout(GIVEN_UP_S):
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
    return time.monotonic() - began_s


async def trickle(writer: asyncio.StreamWriter, data: bytes) -> None:
    """One byte every 50 ms, until the other side has had enough."""
    try:
        for byte in data:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0.05)
    except ConnectionError:
        pass


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(GIVEN_UP_S):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return await reader.readexactly(length)


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", HEAD[:-2]])
async def test_a_head_that_never_ends_is_dropped_in_time(site, sent):
    reader, writer = await site.open()
    writer.write(sent)
    assert 0.2 < await ended_after(reader) < 2.0
    writer.close()


async def test_a_head_that_trickles_is_dropped_in_time(site):
    reader, writer = await site.open()
    sending = asyncio.create_task(trickle(writer, b"GET /healthz HTTP/1.1\r\nX-A: " + b"a" * 400))
    assert await ended_after(reader) < 2.0
    await sending
    writer.close()


async def test_the_second_request_of_a_connection_has_the_same_deadline(site):
    reader, writer = await site.open()
    writer.write(HEAD)
    assert await answer_of(reader) == b"0"
    sending = asyncio.create_task(trickle(writer, HEAD[:-2] + b"X-A: " + b"a" * 400))
    assert await ended_after(reader) < 0.7  # sooner than a connection that only idles
    await sending
    writer.close()


async def test_requests_one_after_the_other_keep_their_connection(site):
    reader, writer = await site.open()
    for _ in range(4):
        await asyncio.sleep(0.3)
        writer.write(HEAD)
        assert await answer_of(reader) == b"0"
    writer.close()


async def test_a_body_is_not_measured_by_the_deadline_of_heads(site):
    reader, writer = await site.open()
    writer.write(b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n")
    await trickle(writer, b"x" * 12)
    assert await answer_of(reader) == b"12"
    writer.close()


async def test_a_connection_that_only_idles_ends(site):
    reader, writer = await site.open()
    writer.write(HEAD)
    assert await answer_of(reader) == b"0"
    assert 0.5 < await ended_after(reader) < 3.0
    writer.close()


async def test_who_does_not_read_an_answer_loses_it(site):
    reader, writer = await site.open(limit=1_024)
    writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.sleep(1.2)
    read = 0
    async with asyncio.timeout(GIVEN_UP_S):
        try:
            while chunk := await reader.read(65_536):
                read += len(chunk)
        except ConnectionError:
            pass
    assert read < LARGE_BYTES
    writer.close()


async def test_who_reads_gets_the_whole_of_a_large_answer(site):
    url = f"http://127.0.0.1:{site.port}/large"
    async with ClientSession() as http, http.get(url) as answer:
        assert len(await answer.read()) == LARGE_BYTES


def server_tls(folder) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "tls.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


async def test_a_tls_handshake_that_never_ends_is_dropped_in_time(tmp_path):
    tls = await asyncio.to_thread(server_tls, tmp_path)
    runner, site = await running(replace(DEADLINES, idle_s=60), tls)
    try:
        reader, writer = await site.open()
        writer.write(b"\x16\x03\x01")
        assert await ended_after(reader) < 2.0
        writer.close()
    finally:
        await runner.cleanup()


SLOW_HEAD_S, IN_TIME_S = 2.2, 4.7


async def test_a_handshake_and_a_head_have_one_deadline_together(tmp_path):
    tls = await asyncio.to_thread(server_tls, tmp_path)
    runner, site = await running(TOGETHER, tls)
    try:
        reader, writer = await site.open()
        began_s = time.monotonic()
        await asyncio.sleep(SLOW_HEAD_S)
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        await writer.start_tls(trusting)
        await ended_after(reader)
        assert time.monotonic() - began_s < IN_TIME_S
        writer.close()
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("route", ["/timed", "/nothing"])
async def test_a_head_and_a_body_have_one_deadline_together(route):
    """Whether somebody reads the body or nobody wants it."""
    runner, site = await running(TOGETHER)
    try:
        reader, writer = await site.open()
        began_s = time.monotonic()
        writer.write(f"POST {route} HTTP/1.1\r\n".encode())
        await asyncio.sleep(SLOW_HEAD_S)
        writer.write(b"Host: a\r\nContent-Length: 900\r\n\r\n")
        sending = asyncio.create_task(trickle(writer, b"x" * 900))
        await ended_after(reader)
        assert time.monotonic() - began_s < IN_TIME_S
        sending.cancel()
        writer.close()
    finally:
        await runner.cleanup()


async def test_what_waited_for_its_turn_has_its_own_time():
    """The second of two requests in one segment is not late because the first one took long."""
    runner, site = await running(replace(TOGETHER, head_s=1.5))
    try:
        reader, writer = await site.open()
        writer.write(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        writer.write(b"POST /timed HTTP/1.1\r\nHost: a\r\nContent-Length: 24\r\n\r\n")
        assert await answer_of(reader) == b"long"
        await trickle(writer, b"x" * 24)
        assert await answer_of(reader) == b"x" * 24
        writer.close()
    finally:
        await runner.cleanup()


SLOW = {
    "a head": b"GET /healthz HT",
    "a body": b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx",
    "an answer": b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
    "the next request": HEAD,
}


@pytest.mark.parametrize("what", SLOW)
async def test_whoever_is_slow_gives_way_where_the_places_run_out(what):
    """Two places, and deadlines that end nothing here."""
    counted: list[Ending] = []
    settings = HttpSettings(pending_connections=2)
    gate = ConnectionGate(settings, SystemClock(), counted.append)
    runner, site = await running(
        Deadlines(head_s=60, answer_s=60, idle_s=60), gates=Gates(connections=gate)
    )
    try:
        slow = [await site.open(limit=1_024) for _ in range(2)]
        for _, writer in slow:
            writer.write(SLOW[what])
        begun = 0 if what == "a head" else len(slow)
        await until(lambda: runner.server.requests_count == begun and len(gate.crowd.waiting) == 2)
        reader, writer = await site.open()
        writer.write(HEAD)
        assert await answer_of(reader) == b"0"
        assert counted == [Ending.GAVE_WAY]
        assert len(gate) == 2
        for other in (*(writer for _, writer in slow), writer):
            other.transport.abort()
    finally:
        await runner.cleanup()
    assert len(gate) == 0


async def test_a_peer_that_resets_its_connection_is_no_failure_of_ours(site) -> None:
    """Else strangers fill the log with tracebacks."""
    half = b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf"
    with structlog.testing.capture_logs() as logged:
        for _ in range(20):
            _, writer = await site.open()
            abort_now = struct.pack("ii", 1, 0)
            plain = writer.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abort_now)
            writer.write(half)
            await writer.drain()
            await asyncio.sleep(0.005)  # real time: the request has begun
            writer.transport.abort()
        await until(lambda: sum(row["event"] == "client gone" for row in logged) == 20)
    assert not [row for row in logged if row["log_level"] in ("warning", "error")]
