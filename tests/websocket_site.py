"""A listening WebSocket gate over a media plane in memory, and clients of it."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgpack
from aiohttp import WSMsgType, web

from config.settings import HttpSettings, Settings, SignalingSettings
from signaling.clock import SystemClock
from signaling.domain.errors import ErrorCode, Unauthorized
from signaling.domain.roles import Role
from signaling.domain.session_options import SessionRecord, parse_session_options
from signaling.domain.tokens import Admission
from signaling.http.runner import Deadlines, HttpRunner
from signaling.metrics import Metrics
from signaling.sessions.directory import SessionDirectory
from signaling.websocket.gate import WebSocketGate
from tests.fakes.media_plane import FakeMediaPlane

ENCRYPTED = SessionRecord(
    "2_encrypted", "123", parse_session_options({"e2ee": "true", "p2p.preference": "disabled"}), 0
)
E2EE = {"formats": ["e2ee/2"]}


class KnownTokens:
    """Admits the tokens `publisher`, `subscriber` and `moderator`."""

    async def authenticate(self, api_key, session_id, token, *, origin=None):
        if token not in {role.value for role in Role}:
            raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
        return Admission(ENCRYPTED, Role(token), expires_s=2e9, connection_data="name=Ada")


class Client:
    def __init__(self, ws):
        self.ws = ws
        self.numbers = itertools.count(1)

    async def send(self, t, **members):
        await self.ws.send_bytes(msgpack.packb({"t": t, "id": next(self.numbers), **members}))

    async def receive(self, t=None):
        """The next message, or the next with tag `t`."""
        while True:
            frame = await self.ws.receive(timeout=5)
            assert frame.type is WSMsgType.BINARY, frame
            message = msgpack.unpackb(frame.data)
            if t is None or message["t"] == t:
                return message

    async def closed(self):
        frame = await self.ws.receive(timeout=5)
        while frame.type is WSMsgType.BINARY:
            frame = await self.ws.receive(timeout=5)
        return frame.data


@asynccontextmanager
async def websocket_site(**signaling: Any) -> AsyncIterator[SimpleNamespace]:
    """A listening gate: `gate.connect()` gives clients, `gate.directory` the sessions."""
    settings = Settings(
        http=HttpSettings(allowed_origins="https://good.example"),
        signaling=SignalingSettings(
            **{
                "hello_timeout_ms": 200,
                "keep_alive_ms": 500,
                "grace_ms": 400,
                "send_queue_bytes": 65_536,
                "message_burst": 10_000,
                "byte_burst": 67_108_864,
                "fan_out_burst": 1_073_741_824,
                **signaling,
            },
        ),
    )
    plane = FakeMediaPlane(connect_at_once=True)
    clock = SystemClock()
    directory = SessionDirectory(plane, clock, settings.signaling)
    metrics = Metrics(plane.counters)
    app = web.Application()
    handler = WebSocketGate(KnownTokens(), directory, clock, settings, metrics)
    app.router.add_get("/v1/signal", handler.handle)
    runner = HttpRunner(app, Deadlines.of(settings.http))
    await runner.listen("127.0.0.1", 0, None)
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/signal"
    http = aiohttp.ClientSession()

    async def connect(protocol="sealroute.v2.msgpack", **options):
        return Client(await http.ws_connect(url, protocols=[protocol], **options))

    try:
        yield SimpleNamespace(
            connect=connect, directory=directory, url=url, http=http, gate=handler, metrics=metrics
        )
    finally:
        await directory.close()
        await http.close()
        await runner.cleanup()
        await plane.close()


async def hello(client, token="publisher", **members):
    await greet(client, token, **members)
    return await client.receive()


async def greet(client, token="publisher", **members):
    await client.send(
        "hello",
        apiKey="123",
        sessionId="2_encrypted",
        token=token,
        sdk={"name": "test", "version": "1"},
        **{"e2ee": E2EE, **members},
    )
