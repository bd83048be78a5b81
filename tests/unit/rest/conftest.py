"""A server with a caller, and a session of it with somebody in it."""

import io
import json
import logging
import sys

import pytest
import structlog
from aiohttp.test_utils import TestClient, TestServer

from signaling.logs import configure_logs
from signaling.rest.live_sessions import LiveConnection, LiveStream
from tests.rest_caller import PUBLIC_PEM, Caller
from tests.rest_server import open_rest_server


@pytest.fixture
async def caller(tmp_path):
    server = await open_rest_server(tmp_path, public_key_pem=PUBLIC_PEM)
    async with TestClient(TestServer(server.app)) as client:
        yield Caller(server, client)
    await server.store.close()


@pytest.fixture(params=["true", "false"], ids=["encrypted", "clear"])
async def room(caller, request):
    """A session with one member and one stream; live routes do not care whether it is encrypted."""
    session = await caller.create(e2ee=request.param)
    caller.server.live.connections_of[session] = [LiveConnection("conn-1", 1234)]
    caller.server.live.streams_of[session] = [LiveStream("str-1", "screen", "Bob")]
    caller.room = f"/session/{session}"
    return caller


@pytest.fixture
def record(monkeypatch):
    """Everything that reaches the log, as a production server writes it."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs("debug", "json")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
