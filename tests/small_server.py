"""A small server for one client: signaling by the message table, media by the client's own two
ends joined crosswise. It tells the truth unless a test changes what it says."""

import asyncio
from fractions import Fraction
from pathlib import Path

import av
import msgpack
import msgspec
from aiohttp import WSMsgType, web
from aiortc import RTCConfiguration
from sealroute_client import Session
from sealroute_client.downlink import Downlink
from sealroute_client.e2ee.keys import PendingContext
from sealroute_client.e2ee.secret import derive
from sealroute_client.media.sources import draw_pattern, open_test_pattern
from sealroute_client.peers import PeerConnections
from sealroute_client.publisher import Publisher
from sealroute_client.uplink import Uplink

from signaling.protocol.messages import ClientMessage

CAPABILITIES = {
    "publish": 1,
    "subscribe": 1,
    "signal": 1,
    "forceUnpublish": 0,
    "forceDisconnect": 0,
    "forceMute": 0,
}
SECRET = "correct horse battery"
ME = {"connectionId": "me", "creationTime": 1}
PEER = {"connectionId": "peer", "creationTime": 2}
OLD_HINT = 1
"""What the other member announced before: anything but the hint of a new secret."""
STREAM = {"streamId": "stream-peer", "connectionId": "peer", "creationTime": 3}


class Server:
    """Answers one client. `peer` publishes one stream, encrypted with the same secret."""

    def __init__(self, *, e2ee: object = True, refuse: bool = False) -> None:
        self.e2ee = e2ee
        self.media_mode: object = "routed"
        self.session_id = "session"
        self.stream_id = "stream-me"
        """Of what the client publishes next."""
        self.answers_to: int | None = None
        """The number of the request that the welcome names; None: the one that came."""
        self.refuse = refuse
        self.keep_alive_ms = 10_000
        self.silent: set[str] = set()
        """Requests that get no answer."""
        self.refused: set[str] = set()
        self.connection = ME
        self.messages: list[dict] = []
        self.hellos: list[dict] = []
        self.invalid: list[str] = []
        self.socket: web.WebSocketResponse | None = None
        self.answers: dict[int, asyncio.Future] = {}
        self.sink: Downlink | None = None
        self.source: Uplink | None = None
        self.publisher: Publisher | None = None
        self.tasks: set[asyncio.Task] = set()
        self.url = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/v1/signal", self.serve)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.publisher is not None:
            await self.publisher.stop()
        for link in (self.sink, self.source):
            if link is not None:
                await link.close()
        await self.runner.cleanup()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("sealroute.v2.msgpack",))
        await socket.prepare(request)
        self.socket = socket
        async for frame in socket:
            if frame.type is WSMsgType.BINARY:
                message = msgpack.unpackb(frame.data)
                self.messages.append(message)
                try:
                    msgspec.convert(message, type=ClientMessage)
                except msgspec.ValidationError as error:
                    self.invalid.append(f"{message['t']}: {error}")
                await self.answer(message)
        return socket

    async def send(self, message: dict) -> None:
        await self.socket.send_bytes(msgpack.packb(message))

    async def answer(self, message: dict) -> None:
        kind, number = message["t"], message["id"]
        if kind in self.silent:
            return
        if kind in self.refused:
            error = {"code": "rate_limited", "name": "OT_LIMIT", "number": 1, "message": "no"}
            await self.send({"t": "error", "re": number, **error})
            return
        if kind == "hello":
            await self.welcome(message)
        elif kind == "publish":
            await self.published(message)
        elif kind == "subscribe":
            reply = {"t": "subscribed", "re": number, "streamId": message["streamId"]}
            await self.send({**reply, "subscriberId": "subscriber"})
            task = asyncio.create_task(self.offer())
            self.tasks.add(task)
        else:
            if kind == "downlinkAnswer":
                self.answers[message["offerId"]].set_result(message["sdp"])
            await self.send({"t": "ok", "re": number})

    async def welcome(self, message: dict) -> None:
        self.hellos.append(message)
        if self.refuse:
            error = {"code": "token_invalid", "name": "OT_AUTHENTICATION_ERROR", "number": 1004}
            await self.send({"t": "error", "re": message["id"], "message": "no", **error})
            return
        await self.send(
            {
                "t": "welcome",
                "re": message["id"] if self.answers_to is None else self.answers_to,
                "connection": self.connection,
                "session": {
                    "sessionId": self.session_id,
                    "e2ee": self.e2ee,
                    "mediaMode": self.media_mode,
                },
                "capabilities": CAPABILITIES,
                "connections": [self.connection, PEER],
                "streams": [STREAM],
                "resume": f"resume-{len(self.hellos)}",
                "resumed": len(self.hellos) > 1,
                "keepAliveMs": self.keep_alive_ms,
                "graceMs": 5_000,
                "hints": {"peer": OLD_HINT},
            }
        )

    async def published(self, message: dict) -> None:
        if self.sink is not None:
            await self.sink.close()
        self.sink = Downlink(PeerConnections(RTCConfiguration(iceServers=[])))
        answer, _ = await self.sink.answer(message["offer"])
        await self.send(
            {
                "t": "published",
                "re": message["id"],
                "streamId": self.stream_id,
                "answer": answer,
                "tracks": [],
            }
        )

    async def offer(self) -> None:
        secret = await derive(SECRET, "session")
        source = open_test_pattern(size=(320, 240))
        self.source = Uplink(PeerConnections(RTCConfiguration(iceServers=[])), is_encrypted=True)
        self.publisher = Publisher(None, source, [])

        async def negotiate(offer, tracks):
            self.publisher.tracks = tracks
            for track in tracks:
                track.pending = PendingContext(secret, self.publisher.key_ids)
            self.publisher.start("stream-peer")
            for track in tracks:
                track.switch("peer", "stream-peer")
            self.answers[1] = asyncio.get_running_loop().create_future()
            rows = [
                {
                    "mid": t.mid,
                    "kind": t.kind,
                    "codec": "opus" if t.kind == "audio" else "vp8",
                    "subscriberId": "subscriber",
                    "streamId": "stream-peer",
                }
                for t in tracks
            ]
            await self.send({"t": "downlinkOffer", "offerId": 1, "sdp": offer, "tracks": rows})
            return await self.answers[1]

        await self.source.publish(source, "vp8", negotiate)

    def received(self, kind: str) -> list[dict]:
        return [message for message in self.messages if message["t"] == kind]


async def until(condition, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def session_of(server: Server, secret: str | None = SECRET) -> Session:
    return Session(server.url, "key", "session", "token", encryption_secret=secret)


def short_film(folder: Path) -> Path:
    """A file of half a second of the test pattern."""
    path = folder / "short.webm"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("vp8", rate=30, width=320, height=240, pix_fmt="yuv420p")
        stream.codec_context.thread_count = 1
        for number in range(15):
            frame = draw_pattern(number, 320, 240)
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
