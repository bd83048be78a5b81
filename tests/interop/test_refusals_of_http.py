"""Whatever a stranger sends to whichever route: a refusal is our JSON, with a stable code."""

import asyncio
import json
import re
from dataclasses import dataclass

import pytest
import pytest_asyncio

from bench.ports import free_port
from signaling.domain.errors import ErrorCode
from signaling.rest.routes import ROUTES
from tests.certificates import write_certificate
from tests.served import Server

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]

CODES = {code.value for code in ErrorCode}
PUBLIC = sorted(
    {
        *(re.sub(r"\{[^}]*\}", "x", route.template) for route in ROUTES),
        *("/", "/index.html", "/nothing", "/healthz", "/readyz", "/openapi.json", "/v1/signal"),
        *("/v1/rooms", "/v1/rooms/x", "/whip/x", "/whep/x/y"),
        *("/whip/x/resource/z", "/whep/x/y/resource/z", "/e2ee/session/create", "/%0d%0a", "//"),
    }
)
OPERATIONS = ["/healthz", "/metrics", "/nothing", "/v1/admin/projects", "/v1/admin/projects/x"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "CONNECT"]
HEADERS = {
    "an expectation": "Expect: the-spanish-inquisition",
    "a compressed body": "Content-Encoding: gzip",
    "a length that is no number": "Content-Length: many",
    "a negative length": "Content-Length: -1",
    "two lengths": "Content-Length: 1\r\nContent-Length: 2",
    "a length and chunks": "Content-Length: 1\r\nTransfer-Encoding: chunked",
    "an unknown transfer encoding": "Transfer-Encoding: zip",
    "chunks without a length": "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a large body": "Content-Length: 999999999",
    "a header without a colon": "nonsense",
    "a header with NUL": "X-A: \0",
    "a long header": "X-A: " + "a" * 20_000,
    "many headers": "\r\n".join(f"X-{number}: a" for number in range(300)),
    "an upgrade to something else": "Connection: Upgrade\r\nUpgrade: h2c",
    "a WebSocket without a key": "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sealroute.v2.json",
    "a WebSocket of another version": "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 7\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: sealroute.v2.json",
    "a WebSocket of another protocol": "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: chat",
    "a protocol without an upgrade": "Sec-WebSocket-Protocol: sealroute.v2.json",
    "a range beyond the end": "Range: bytes=99999999-",
    "a range that is none": "Range: lines=1-2",
    "a condition that does not hold": 'If-Match: "another"',
    "a condition of time": "If-Unmodified-Since: Mon, 01 Jan 1990 00:00:00 GMT",
}
OF_READERS = ("Connection", "Sec-", "Range", "If-")
LINES = {
    "a long path": b"GET /" + b"a" * 20_000 + b" HTTP/1.1",
    "an unknown version": b"GET / HTTP/9.9",
    "no version": b"GET /",
    "HTTP/2": b"PRI * HTTP/2.0",
    "no path": b"GET HTTP/1.1",
    "a path of another": b"GET http://other.example/nothing HTTP/1.1",
    "the whole server": b"OPTIONS * HTTP/1.1",
    "a path without a slash": b"GET nothing HTTP/1.1",
    "a broken escape": b"GET /%zz%ff HTTP/1.1",
    "bytes of no text": b"GET /\xff\xfe HTTP/1.1",
    "a method of no letters": b"G@T / HTTP/1.1",
    "TLS": bytes.fromhex("1603010200010001fc0303") + bytes(100),
    "noise": bytes(range(256)),
}


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes


async def answer(port: int, sent: bytes) -> Answered:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    try:
        async with asyncio.timeout(20):
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
            first, *lines = head.rstrip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            length = int(headers.get("content-length", 0))
            body = b"" if sent.startswith(b"HEAD ") else await reader.readexactly(length)
    finally:
        writer.close()
    return Answered(int(first.split()[1]), headers, body)


def complaint(sent: bytes, answered: Answered) -> str | None:
    """What is wrong with a refusal; None: nothing, or it is none."""
    if answered.status < 400:
        return None
    kind = answered.headers.get("content-type", "")
    said = f"{answered.status} {kind} {answered.body[:200]!r} {answered.headers.get('allow')}"
    if kind.partition(";")[0] != "application/json":
        return said
    if answered.status == 405 and not answered.headers.get("allow"):
        return said
    if answered.headers.get("server") != "sealroute":
        return said
    if sent.startswith(b"HEAD "):
        return None
    reported = json.loads(answered.body)
    known = reported.get("error") in CODES and reported["message"] and reported["code"]
    return None if known and answered.status != 500 else said


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ports(tmp_path_factory):
    """Of the listener for everybody and the one for operators; so many requests of one network
    have no limit here."""
    operations = free_port()
    config = {
        "SEALROUTE_OPERATIONS_PORT": str(operations),
        "SEALROUTE_HTTP_REQUESTS_PER_S_OF_NETWORK": "0",
        "SEALROUTE_ROOMS_ENABLED": "true",
    }
    server = Server(tmp_path_factory.mktemp("data"), e2ee=True, config=config)
    await server.start()
    yield int(server.url.rpartition(":")[2]), operations
    await server.stop()


async def refused(port: int, requests: dict[str, bytes]) -> dict[str, str]:
    """Complaints by what was sent."""
    found = {}
    for name, sent in requests.items():
        try:
            wrong = complaint(sent, await answer(port, sent))
        except (asyncio.IncompleteReadError, ConnectionError) as failure:
            wrong = f"no answer: {failure!r}"
        if wrong:
            found[name] = wrong
    return found


def made(method: str, path: str, headers: str = "Content-Length: 0") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n".encode("latin1")


def both(ports: tuple[int, int]) -> list[tuple[int, list[str]]]:
    return [(ports[0], PUBLIC), (ports[1], OPERATIONS)]


@pytest.mark.parametrize("method", METHODS)
async def test_each_route_refuses_each_method_in_json(ports, method):
    for port, paths in both(ports):
        assert await refused(port, {path: made(method, path) for path in paths}) == {}


@pytest.mark.parametrize("what", HEADERS)
async def test_each_route_refuses_broken_headers_in_json(ports, what):
    for port, paths in both(ports):
        method = "GET" if HEADERS[what].startswith(OF_READERS) else "POST"
        requests = {path: made(method, path, HEADERS[what]) for path in paths}
        assert await refused(port, requests) == {}


async def test_what_is_no_request_is_refused_in_json(ports):
    for port, _ in both(ports):
        requests = {name: line + b"\r\nHost: a\r\n\r\n" for name, line in LINES.items()}
        assert await refused(port, requests) == {}


async def test_a_refused_upgrade_leaves_a_connection_that_works_or_ends(ports):
    """Bytes behind it are neither swallowed nor taken for frames."""
    for what in ("a WebSocket without a key", "a WebSocket of another protocol"):
        reader, writer = await asyncio.open_connection("127.0.0.1", ports[0])
        writer.write(made("GET", "/v1/signal", HEADERS[what]) + made("GET", "/healthz"))
        async with asyncio.timeout(10):
            text = await reader.read()
        assert text.startswith(b"HTTP/1.1 400 ")
        assert text.count(b"HTTP/1.1 ") == 1 or b"HTTP/1.1 200 " in text
        writer.close()


async def test_plain_http_at_a_tls_port_ends_without_a_word_of_the_library(tmp_path):
    write_certificate(tmp_path)
    config = {
        "SEALROUTE_HTTP_TLS_CERTIFICATE": str(tmp_path / "certificate.pem"),
        "SEALROUTE_HTTP_TLS_KEY": str(tmp_path / "key.pem"),
    }
    server = Server(tmp_path / "data", e2ee=True, config=config)
    server.url = server.url.replace("http:", "https:")
    await server.start()
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(server.url.rpartition(":")[2])
        )
        writer.write(made("GET", "/healthz"))
        async with asyncio.timeout(10):
            said = await reader.read()
        assert b"aiohttp" not in said
        assert b"Traceback" not in said
        writer.close()
    finally:
        await server.stop()
