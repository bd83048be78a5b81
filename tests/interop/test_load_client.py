"""The load clients' signaling against a scripted server."""

from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.client import ClientError, LoadClient
from signaling.protocol import messages

pytestmark = pytest.mark.interop

Client = msgspec.msgpack.Decoder(messages.ClientMessage)
WELCOME = {
    "connection": messages.ConnectionInfo(connection_id="c", creation_time=0),
    "session": messages.SessionInfo(session_id="s", e2ee=True, media_mode="routed"),
    "capabilities": messages.Capabilities(
        publish=1, subscribe=1, signal=1, force_unpublish=0, force_disconnect=0, force_mute=0
    ),
    "connections": (),
    "streams": (),
    "resume": "r",
    "resumed": False,
    "keep_alive_ms": 1_500,
    "grace_ms": 1,
}


def answers(request: messages.Request) -> list[messages.Message]:
    match request:
        case messages.Hello(token="bad"):
            return [messages.Error(re=request.id, code="no", name="N", number=1, message="m")]
        case messages.Hello():
            return [messages.Welcome(re=request.id, **WELCOME)]
        case messages.Subscribe():
            return [
                messages.Subscribed(re=request.id, subscriber_id="u", stream_id=request.stream_id),
                messages.DownlinkOffer(offer_id=1, sdp="v=0\r\n", tracks=()),
            ]
        case messages.Ping():
            return [messages.Pong(re=request.id)]
    return []


@pytest.fixture
async def server() -> AsyncIterator[tuple[str, list[messages.Request]]]:
    seen: list[messages.Request] = []

    async def signal(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(protocols=[messages.SUBPROTOCOL_MSGPACK])
        await ws.prepare(request)
        async for frame in ws:
            message = Client.decode(frame.data)
            seen.append(message)
            for answer in answers(message):
                await ws.send_bytes(msgspec.msgpack.encode(answer))
        return ws

    app = web.Application()
    app.router.add_get("/v1/signal", signal)
    async with TestServer(app) as running:
        yield str(running.make_url("")).rstrip("/"), seen


async def test_a_client_joins_keeps_alive_and_says_bye(
    server: tuple[str, list[messages.Request]],
) -> None:
    url, seen = server
    async with aiohttp.ClientSession() as http:
        client = LoadClient(http)
        welcome = await client.join(url, "1", "s", "t")
        assert welcome.session.e2ee
        assert isinstance(seen[0], messages.Hello)
        assert seen[0].e2ee == messages.E2eeSupport(formats=("e2ee/2",))
        await client.leave()
    assert isinstance(seen[-1], messages.Bye)


async def test_a_refusal_has_the_servers_code(server: tuple[str, list[messages.Request]]) -> None:
    async with aiohttp.ClientSession() as http:
        client = LoadClient(http)
        with pytest.raises(ClientError, match="no: m"):
            await client.join(server[0], "1", "s", "bad")
        await client.leave()


async def test_an_offer_that_cannot_be_used_ends_the_wait(
    server: tuple[str, list[messages.Request]],
) -> None:
    async with aiohttp.ClientSession() as http:
        client = LoadClient(http)
        await client.join(server[0], "1", "s", "t")
        with pytest.raises(ClientError, match="no ICE credentials"):
            await client.subscribe(["stream"])
        await client.leave()
