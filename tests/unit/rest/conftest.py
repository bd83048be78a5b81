"""A server with a caller, and a session of it with somebody in it."""

import pytest
from aiohttp.test_utils import TestClient, TestServer

from signaling.rest.live_sessions import LiveConnection, LiveStream
from tests.rest_caller import PUBLIC_PEM, Caller
from tests.rest_server import open_rest_server


@pytest.fixture
async def caller(tmp_path):
    server = await open_rest_server(tmp_path, public_key_pem=PUBLIC_PEM)
    async with TestClient(TestServer(server.app)) as client:
        yield Caller(server, client)
    await server.store.close()


@pytest.fixture(params=["true", "false"], ids=["sealed", "clear"])
async def room(caller, request):
    """A session with one member and one stream; live routes do not care whether it is sealed."""
    session = await caller.create(e2ee=request.param)
    caller.server.live.connections_of[session] = [LiveConnection("conn-1", 1234)]
    caller.server.live.streams_of[session] = [LiveStream("str-1", "screen", "Bob")]
    caller.room = f"/session/{session}"
    return caller
