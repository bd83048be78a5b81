"""A Session and the command line against a small server: signaling by the message table, media
by the client's own two ends joined crosswise."""

import asyncio
import json
import os
import sys

import msgpack
import msgspec
import pytest
from aiohttp import WSMsgType, web
from aiortc import RTCConfiguration
from sealroute_client import (
    EncryptionError,
    EncryptionSecretMissing,
    InvalidEncryptionSecret,
    ServerError,
    Session,
    encryption,
)
from sealroute_client.downlink import Downlink
from sealroute_client.e2ee.keys import PendingContext
from sealroute_client.e2ee.secret import derive
from sealroute_client.e2ee.signals import SignalContent, SignalSealer
from sealroute_client.media.sources import open_test_pattern
from sealroute_client.peers import PeerConnections
from sealroute_client.publisher import Publisher
from sealroute_client.uplink import Uplink

from signaling.protocol.messages import ClientMessage

pytestmark = pytest.mark.interop

SECRET = "correct horse battery"
ME = {"connectionId": "me", "creationTime": 1}
PEER = {"connectionId": "peer", "creationTime": 2}
OLD_HINT = 1
"""What the other member announced before: anything but the hint of a new secret."""
STREAM = {"streamId": "stream-peer", "connectionId": "peer", "creationTime": 3}


class Server:
    """Answers one client. `peer` publishes one stream, sealed with the same secret."""

    def __init__(self, *, e2ee: bool = True, refuse: bool = False) -> None:
        self.e2ee = e2ee
        self.refuse = refuse
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
        socket = web.WebSocketResponse(protocols=("sealroute.v1.msgpack",))
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
                self.answers[message["number"]].set_result(message["sdp"])
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
                "re": message["id"],
                "connection": ME,
                "session": {"sessionId": "session", "e2ee": self.e2ee, "mediaMode": "routed"},
                "capabilities": {},
                "connections": [ME, PEER],
                "streams": [STREAM],
                "resume": f"resume-{len(self.hellos)}",
                "resumed": len(self.hellos) > 1,
                "keepAliveMs": 10_000,
                "graceMs": 5_000,
                "hints": {"peer": OLD_HINT},
            }
        )

    async def published(self, message: dict) -> None:
        self.sink = Downlink(PeerConnections(RTCConfiguration(iceServers=[])))
        answer = await self.sink.answer(message["offer"], [], lambda *_: None)
        await self.send(
            {
                "t": "published",
                "re": message["id"],
                "streamId": "stream-me",
                "answer": answer,
                "tracks": [],
            }
        )

    async def offer(self) -> None:
        secret = await derive(SECRET, "session")
        source = open_test_pattern(size=(320, 240))
        self.source = Uplink(PeerConnections(RTCConfiguration(iceServers=[])), is_sealed=True)
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
            await self.send({"t": "downlinkOffer", "number": 1, "sdp": offer, "tracks": rows})
            return await self.answers[1]

        await self.source.publish(source, "vp8", negotiate)

    def received(self, kind: str) -> list[dict]:
        return [message for message in self.messages if message["t"] == kind]


@pytest.fixture
async def server():
    running = Server()
    await running.start()
    yield running
    await running.stop()
    assert running.invalid == []


async def until(condition, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def session_of(server: Server, secret: str | None = SECRET) -> Session:
    return Session(server.url, "key", "session", "token", encryption_secret=secret)


async def test_a_sealed_session_is_not_joined_without_a_secret(server) -> None:
    with pytest.raises(EncryptionSecretMissing) as caught:
        await session_of(server, None).connect()
    assert caught.value.number == 6000
    assert [message["t"] for message in server.messages] == ["hello", "bye"]


async def test_an_invalid_secret_fails_before_any_network_use(server) -> None:
    with pytest.raises(InvalidEncryptionSecret):
        await session_of(server, "short").connect()
    assert server.messages == []


async def test_a_server_that_denies_the_encryption_is_not_joined(server) -> None:
    server.e2ee = False
    with pytest.raises(EncryptionError):
        await session_of(server).connect()
    assert server.received("publish") == []


async def test_a_refusal_carries_the_code_of_the_server(server) -> None:
    server.refuse = True
    with pytest.raises(ServerError) as caught:
        await session_of(server).connect()
    assert (caught.value.code, caught.value.number) == ("token_invalid", 1004)


async def test_a_session_publishes_with_declared_keys_and_receives_pictures(server) -> None:
    session = session_of(server)
    created: list[str] = []
    session.on("streamCreated", lambda event: created.append(event.detail["stream"]["streamId"]))
    await session.connect()
    try:
        assert created == ["stream-peer"]
        publisher = await session.publish(video_codec="h264", name="pattern")
        offered = server.received("publish")[0]
        kids = [kid for track in offered["tracks"] for kid in track["kids"]]
        assert offered["e2eeFormat"] == "e2ee/2"
        assert kids == [kid for track in publisher.tracks for kid in track.declared_kids]
        assert len(set(kids)) == 2
        subscriber = await session.subscribe("stream-peer")
        pictures = []
        async with asyncio.timeout(12):
            async for picture in subscriber.video:
                pictures.append(picture)
                if len(pictures) == 10:
                    break
        await until(lambda: all(track.counts.frames > 20 for track in publisher.tracks))
        stats = await session.stats()
        assert stats["decrypted"] > 10
        assert stats["failed"] == 0
    finally:
        await session.disconnect()
    assert server.received("bye") != []


async def test_a_change_of_secret_declares_announces_and_switches_when_all_are_ready(
    server, monkeypatch
) -> None:
    monkeypatch.setattr(encryption, "OLD_KIDS_DECLARED_S", 1.0)
    session = session_of(server)
    await session.connect()
    try:
        publisher = await session.publish()
        before = [track.sealer.kid for track in publisher.tracks]
        await session.set_encryption_secret("another secret for all")
        await until(lambda: len(server.received("declareKids")) == 2)
        await until(lambda: len(server.received("e2eeReady")) == 2)
        hint = server.received("e2eeReady")[-1]["hint"]
        assert [len(m["kids"]) for m in server.received("declareKids")] == [2, 2]
        assert [track.sealer.kid for track in publisher.tracks] == before
        await server.send({"t": "hintAnnounced", "connectionId": "peer", "hint": hint})
        await until(lambda: len(server.received("declareKids")) == 4, 3.0)
        after = [track.sealer.kid for track in publisher.tracks]
        assert [kid & 0xFFFF for kid in after] == [hint, hint]
        # Packets under the old key are on the way: it stays declared for a while, then ends.
        declared = [m["kids"] for m in server.received("declareKids")]
        both = [
            [kid.to_bytes(8, "big") for kid in pair] for pair in zip(before, after, strict=True)
        ]
        assert declared[2:4] == both
        await until(lambda: len(server.received("declareKids")) == 6, 3.0)
        declared = [m["kids"] for m in server.received("declareKids")]
        assert declared[4:] == [[new] for _, new in both]
    finally:
        await session.disconnect()


async def test_a_lost_socket_is_resumed_while_the_media_goes_on(server) -> None:
    session = session_of(server)
    events: list[str] = []
    session.on("*", lambda event: events.append(event.name))
    await session.connect()
    try:
        publisher = await session.publish(video=False)
        await until(lambda: publisher.tracks[0].counts.frames > 10)
        await server.socket.close()
        await until(lambda: "sessionReconnected" in events)
        assert server.hellos[1]["resume"] == "resume-1"
        sent = publisher.tracks[0].counts.frames
        await until(lambda: publisher.tracks[0].counts.frames > sent + 10)
        assert "disconnected" not in events
        await publisher.publish_audio(False)
        assert server.received("updateStream")[-1]["hasAudio"] is False
    finally:
        await session.disconnect()
    assert events[-1] == "disconnected"


async def test_signals_are_sealed_and_open_only_from_members(server) -> None:
    session = session_of(server)
    heard: list[dict] = []
    session.on("signal", lambda event: heard.append(event.detail))
    await session.connect()
    try:
        await session.signal("hello", type="chat")
        sent = server.received("signal")[0]
        assert "data" not in sent
        assert b"hello" not in sent["sealed"]
        sealed = SignalSealer("peer").seal(
            await derive(SECRET, "session"), SignalContent("", "chat", "hi")
        )
        for sender in ("stranger", "peer", "peer"):
            await server.send({"t": "signalReceived", "from": sender, "sealed": sealed})
        await server.send({"t": "signalReceived", "data": "from the server"})
        await until(lambda: len(heard) == 2)
        assert [(s["connectionId"], s["data"], s["isSealed"]) for s in heard] == [
            ("peer", "hi", True),
            (None, "from the server", False),
        ]
    finally:
        await session.disconnect()


async def test_an_end_by_the_server_is_told_with_its_reason(server) -> None:
    session = session_of(server)
    reasons: list[object] = []
    session.on("disconnected", lambda event: reasons.append(event.detail["reason"]))
    await session.connect()
    await server.send({"t": "disconnected", "reason": "forceDisconnected"})
    await asyncio.wait_for(session.wait_closed(), 5)
    assert reasons == ["forceDisconnected"]


# --- the command line ----------------------------------------------------------------------


async def run_cli(server, verb, *options, stdin=asyncio.subprocess.DEVNULL, secret=SECRET):
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    environment.pop("SEALROUTE_SECRET", None)
    if secret is not None:
        environment["SEALROUTE_SECRET"] = secret
    common = ("--url", server.url, "--api-key", "k", "--session", "session", "--token", "t")
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sealroute_client", verb, *common, *options),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )


async def result_of(process) -> tuple[int, list[dict], str]:
    out, err = await asyncio.wait_for(process.communicate(), 25)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err.decode()


async def test_the_command_line_records_for_the_given_time_and_leaves_cleanly(
    server, tmp_path
) -> None:
    process = await run_cli(server, "record", "--out", str(tmp_path), "--duration", "5", "--stats")
    code, lines, err = await result_of(process)
    names = [line["event"] for line in lines]
    assert (code, err) == (0, "")
    recorded = next(line for line in lines if line["event"] == "recorded")
    assert recorded["error"] is None
    assert recorded["frames"]["video"] > 20
    assert (tmp_path / "stream-peer.webm").stat().st_size > 1_000
    assert {"connected", "streamCreated", "subscribed", "recording", "stats"} <= set(names)
    assert SECRET not in str(lines)


async def test_the_command_line_publishes_until_it_is_told_to_leave(server) -> None:
    process = await run_cli(server, "publish", "--test-pattern", stdin=asyncio.subprocess.PIPE)
    await until(lambda: server.received("publish"))
    await asyncio.sleep(0.5)  # lets some media flow before the end
    process.stdin.write(b'{"command":"signal","data":"x"}\nnonsense\n{"command":"leave"}\n')
    code, lines, err = await result_of(process)
    assert (code, err) == (0, "")
    assert [line["event"] for line in lines if line["event"] in ("published", "disconnected")] == [
        "published",
        "disconnected",
    ]
    assert "invalid_parameter" in [line.get("code") for line in lines]


@pytest.mark.parametrize(
    ("secret", "refuse", "expected"), [(None, False, 4), ("short", False, 4), (SECRET, True, 3)]
)
async def test_the_exit_code_tells_what_kind_of_failure_it_was(
    server, secret, refuse, expected
) -> None:
    server.refuse = refuse
    process = await run_cli(server, "subscribe", "--duration", "5", secret=secret)
    code, lines, err = await result_of(process)
    assert (code, err) == (expected, "")
    assert lines[0]["event"] == "error"


async def test_wrong_usage_exits_with_two(server) -> None:
    process = await run_cli(server, "publish", "--secret", "on the command line")
    out, _ = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, out) == (2, b"")
