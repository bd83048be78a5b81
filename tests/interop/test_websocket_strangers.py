"""What strangers send on a WebSocket before anybody is known, frame by frame and slowly."""

import asyncio
import base64
import time

import pytest
from aiohttp.web_protocol import RequestHandler

from signaling.http.stranger_frames import MAX_FRAMES
from signaling.http.websocket_connection import MOST_AT_ONCE
from signaling.protocol import messages as m
from signaling.websocket.gate import STRANGER_BYTES
from tests.websocket_site import hello, websocket_site


@pytest.fixture
async def gate(request):
    async with websocket_site(**getattr(request, "param", {})) as made:
        yield made


UPGRADE = (
    b"GET /v1/signal HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n"
) % (base64.b64encode(b"k" * 16), m.SUBPROTOCOL_MSGPACK.encode())
EMPTY_PING = b"\x89\x80\0\0\0\0"
EMPTY_PARTS = b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0"
TOO_BIG = b"\x88\x02" + (1009).to_bytes(2)


class Parsed:
    """The library's parser of frames, and how many bytes it was given at once."""

    def __init__(self, parser, sizes):
        self.parser, self.sizes = parser, sizes

    def feed_data(self, data):
        self.sizes.append(len(data))
        return self.parser.feed_data(data)

    def feed_eof(self):
        self.parser.feed_eof()


@pytest.fixture
def parsed(monkeypatch):
    sizes = []
    set_parser = RequestHandler.set_parser

    def recorded(self, parser, **others):
        set_parser(self, Parsed(parser, sizes), **others)

    monkeypatch.setattr(RequestHandler, "set_parser", recorded)
    return sizes


@pytest.mark.parametrize("frame", [EMPTY_PING, EMPTY_PARTS])
@pytest.mark.parametrize("flood", [250_000, STRANGER_BYTES])
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_flood_of_frames_before_hello_is_never_parsed(gate, parsed, frame, flood, at_once):
    port = int(gate.url.rpartition(":")[2].partition("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = frame * (flood // len(frame))
    writer.write(UPGRADE + sent if at_once else UPGRADE)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101")
    if not at_once:
        writer.write(sent)
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(TOO_BIG)
    writer.close()
    assert sum(parsed) <= MAX_FRAMES * len(EMPTY_PING)


async def test_a_large_segment_of_a_member_is_parsed_a_little_at_a_time(gate, parsed):
    client = await gate.connect()
    await hello(client)
    parsed.clear()
    client.ws._writer.transport.write(EMPTY_PING * 5_000)
    await client.send("ping")
    await client.receive("pong")
    assert sum(parsed) > 5_000 * len(EMPTY_PING)
    assert max(parsed) <= MOST_AT_ONCE


@pytest.mark.parametrize("gate", [{"hello_timeout_ms": 3_000}], indirect=True)
async def test_a_slow_head_and_the_first_message_have_one_deadline_together(gate):
    _, _, address = gate.url.partition("//")
    host, _, port = address.partition("/")[0].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    began_s = time.monotonic()
    line, _, more = UPGRADE.partition(b"\r\n")
    writer.write(line + b"\r\n")
    await asyncio.sleep(2.2)  # real time: so slow is the head
    writer.write(more)
    async with asyncio.timeout(10):
        while await reader.read(65_536):
            pass
    assert time.monotonic() - began_s < 4.7, "twice the time"
    writer.close()
