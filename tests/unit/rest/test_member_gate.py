"""WebSockets of member services: who gets one, and what ends it."""

import asyncio
import time

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from sfu.egress import member_lines as lines
from signaling.domain.features import Feature
from signaling.domain.rest_credentials import new_rest_token
from signaling.egress.members import PER_PROJECT
from tests.rest_server import open_rest_server
from tests.served import until

OFFER = lines.encode(lines.OfferLine(["archive"]))


@pytest.fixture
async def rest(tmp_path):
    server = await open_rest_server(tmp_path)
    yield server
    await server.store.close()


@pytest.fixture
async def http(rest):
    async with TestClient(TestServer(rest.app)) as client:
        yield client


async def connect(http, rest, **headers):
    token = new_rest_token(rest.project, int(time.time()))
    return await http.ws_connect(lines.PATH, headers={"X-OPENTOK-AUTH": token, **headers})


async def registered(http, rest):
    socket = await connect(http, rest)
    await socket.send_str(OFFER)
    answer = await socket.receive(5)
    assert lines.read_to_member(answer.data) == lines.RegisteredLine()
    return socket


def offers(rest) -> bool:
    return rest.members.offers(rest.project.api_key, Feature.ARCHIVE)


async def test_a_service_of_a_project_offers_until_it_leaves(http, rest) -> None:
    assert not offers(rest)
    socket = await registered(http, rest)
    assert offers(rest)
    assert not rest.members.offers(rest.project.api_key, Feature.BROADCAST)
    assert not rest.members.offers("7654321", Feature.ARCHIVE)
    await socket.close()
    await until(lambda: not offers(rest))


@pytest.mark.parametrize("token", ["", "junk", "a.b.c"])
async def test_without_a_credential_there_is_no_websocket(http, rest, token) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await connect(http, rest, **{"X-OPENTOK-AUTH": token})
    assert refused.value.status >= 400
    assert not offers(rest)


@pytest.mark.parametrize(
    "first", ["", "{}", "[]", '{"line": "progress"}', '{"line":"offer","features":["broadcast"]}']
)
async def test_what_does_not_begin_with_an_offer_is_no_member_service(http, rest, first) -> None:
    socket = await connect(http, rest)
    await socket.send_str(first)
    assert (await socket.receive(5)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    assert not offers(rest)
    assert rest.metrics.member_lies._value.get() == 1


async def test_a_lie_ends_the_connection_and_is_counted(http, rest) -> None:
    socket = await registered(http, rest)
    await socket.send_str(OFFER)
    assert (await socket.receive(5)).type is aiohttp.WSMsgType.CLOSE
    await until(lambda: not offers(rest))
    assert rest.metrics.member_lies._value.get() == 1


async def test_bytes_and_long_lines_end_it_too(http, rest) -> None:
    socket = await registered(http, rest)
    await socket.send_bytes(b"{}")
    assert (await socket.receive(5)).type is aiohttp.WSMsgType.CLOSE
    long = await registered(http, rest)
    await long.send_str("x" * (lines.MAX_LINE_BYTES + 1))
    assert (await long.receive(5)).type is aiohttp.WSMsgType.CLOSE
    await until(lambda: not offers(rest))


async def test_a_project_has_so_many_services_at_a_time(http, rest) -> None:
    sockets = [await registered(http, rest) for _ in range(PER_PROJECT)]
    another = await connect(http, rest)
    await another.send_str(OFFER)
    assert (await another.receive(5)).type is aiohttp.WSMsgType.CLOSE
    await asyncio.gather(*(socket.close() for socket in sockets))
    await until(lambda: not offers(rest))
    await registered(http, rest)


async def test_a_server_that_ends_closes_them(http, rest) -> None:
    socket = await registered(http, rest)
    rest.members.close()
    assert (await socket.receive(5)).type is aiohttp.WSMsgType.CLOSE
