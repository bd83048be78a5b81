"""LiveKit, when its server is on the PATH or named by `LIVEKIT_SERVER`.

Its clients speak protobuf over a WebSocket: `pip install livekit-protocol`.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import jwt

from bench import namespace, processes, sdp
from bench.adapters import UnavailableError
from bench.loadgen import Connecting, Joined, PublisherJob
from bench.peer import Peer, TransportJob
from bench.ports import free_port
from bench.scenarios import Scenario

_KEY, _SECRET = "bench", "a-secret-for-measurements-only-0123456789"
_ROOM = "bench"
_START_S = 20.0
_WAIT_S = 30.0
_PUBLISHER, _SUBSCRIBER = 0, 1
_PING_S = 5.0


def _program() -> str | None:
    return os.environ.get("LIVEKIT_SERVER") or shutil.which("livekit-server")


def _protocol() -> tuple[ModuleType, ModuleType]:
    try:
        from livekit.protocol import models, rtc  # noqa: PLC0415 - optional
    except ImportError:
        raise UnavailableError(
            "the clients' protocol is missing: pip install livekit-protocol"
        ) from None
    return rtc, models


def _configuration(port: int, media_port: int) -> str:
    """One UDP port, no congestion control (the load clients give no feedback), no telemetry."""
    return f"""port: {port}
bind_addresses: ["127.0.0.1"]
rtc:
  udp_port: {media_port}
  use_ice_lite: true
  use_external_ip: false
  node_ip: {namespace.ADDRESS}
  interfaces: {{ includes: [bench0] }}
  congestion_control: {{ enabled: false }}
keys: {{ {_KEY}: {_SECRET} }}
room: {{ auto_create: true, enabled_codecs: [{{ mime: video/vp8 }}, {{ mime: audio/opus }}] }}
logging: {{ level: error, pion_level: error }}
"""


def _token(identity: str) -> str:
    now = int(time.time())
    claims = {
        "iss": _KEY,
        "sub": identity,
        "nbf": now - 5,
        "exp": now + 3_600,
        "video": {"room": _ROOM, "roomJoin": True, "canPublish": True, "canSubscribe": True},
    }
    return jwt.encode(claims, _SECRET, algorithm="HS256")


class _Client:
    """One participant: its WebSocket, its uplink, its downlink."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._rtc, self._models = _protocol()
        self._http, self._url = http, url
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._candidates: tuple[list[str], list[str]] = ([], [])
        self._found = (asyncio.Event(), asyncio.Event())
        self._joined = asyncio.Event()
        self._downlink_peer: Peer | None = None
        self._uplink_peer: Peer | None = None
        self._downlink: asyncio.Task[TransportJob] | None = None
        self._tracks = 0
        self._offered = asyncio.Event()

    async def join(self, identity: str) -> None:
        query = {"access_token": _token(identity), "auto_subscribe": "1", "protocol": "9"}
        self._ws = await self._http.ws_connect(
            f"{self._url}/rtc", params=query, max_msg_size=1 << 22
        )
        self._tasks.append(asyncio.create_task(self._read(self._ws)))
        self._tasks.append(asyncio.create_task(self._ping()))
        async with asyncio.timeout(_WAIT_S):
            await self._joined.wait()

    async def publish(self, scenario: Scenario) -> PublisherJob:
        peer = self._uplink_peer = Peer(bind_host=namespace.ADDRESS)
        ssrc, is_video = secrets.randbits(30), scenario.kind == "video"
        kind = self._models.TrackType.VIDEO if is_video else self._models.TrackType.AUDIO
        layers = [self._models.VideoLayer(quality=2, width=640, height=480)] if is_video else []
        await self._send(
            add_track=self._rtc.AddTrackRequest(
                cid="load", name="load", type=kind, width=640, height=480, layers=layers
            )
        )
        # LiveKit wants to be the DTLS client of a publisher, whatever the offer says.
        offer = sdp.uplink_offer(peer.local, scenario.kind, ssrc, setup="passive")
        await self._send(offer=self._rtc.SessionDescription(type="offer", sdp=offer))
        async with asyncio.timeout(_WAIT_S):
            answer = await self._answer
        transport = await self._connect(peer, answer, _PUBLISHER)
        payload_type = sdp.VP8_PAYLOAD_TYPE if is_video else sdp.OPUS_PAYLOAD_TYPE
        return PublisherJob(transport, ssrc, payload_type, None)

    async def receive(self, tracks: int) -> TransportJob:
        """The connected downlink, once that many tracks were offered on it."""
        async with asyncio.timeout(_WAIT_S):
            while self._tracks < tracks or self._downlink is None:
                self._offered.clear()
                await self._offered.wait()
            return await self._downlink

    async def leave(self) -> None:
        if self._ws is not None and not self._ws.closed:
            with contextlib.suppress(ConnectionError):
                await self._send(leave=self._rtc.LeaveRequest())
            await self._ws.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in (self._uplink_peer, self._downlink_peer):
            if peer is not None:
                peer.close()

    async def _send(self, **part: Any) -> None:  # noqa: ANN401 - a protobuf message
        if self._ws is None:
            raise UnavailableError("not joined")
        await self._ws.send_bytes(self._rtc.SignalRequest(**part).SerializeToString())

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(_PING_S)
            await self._send(ping=int(time.time() * 1_000))

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in ws:
            if frame.type is not aiohttp.WSMsgType.BINARY:
                continue
            response = self._rtc.SignalResponse.FromString(frame.data)
            match response.WhichOneof("message"):
                case "join":
                    self._joined.set()
                case "answer":
                    self._answer.set_result(response.answer.sdp)
                case "offer":
                    await self._answer_offer(response.offer.sdp)
                case "trickle":
                    self._take_candidate(response.trickle)

    def _take_candidate(self, trickle: Any) -> None:  # noqa: ANN401 - a protobuf message
        candidate = json.loads(trickle.candidateInit).get("candidate", "")
        if " udp " in candidate and namespace.ADDRESS in candidate:
            self._candidates[trickle.target].append(f"a={candidate}")
            self._found[trickle.target].set()

    async def _answer_offer(self, offer: str) -> None:
        peer = self._downlink_peer
        is_first = peer is None
        if peer is None:
            peer = self._downlink_peer = Peer(bind_host=namespace.ADDRESS)
        answer = sdp.downlink_answer(peer.local, offer)
        await self._send(answer=self._rtc.SessionDescription(type="answer", sdp=answer))
        self._tracks = sum(line.startswith(("m=audio", "m=video")) for line in offer.splitlines())
        if is_first:
            self._downlink = asyncio.create_task(self._connect(peer, offer, _SUBSCRIBER))
        self._offered.set()

    async def _connect(self, peer: Peer, description: str, target: int) -> TransportJob:
        """Candidates come on their own where the description has none."""
        if "a=candidate:" not in description:
            async with asyncio.timeout(_WAIT_S):
                await self._found[target].wait()
            description += "\r\n".join([*self._candidates[target], ""])
        remote = sdp.remote_description(description)
        passive = target == _PUBLISHER
        return await asyncio.to_thread(peer.connect, remote, passive=passive)


class LivekitAdapter:
    """One LiveKit process, single node.

    Viewers open no data channel, so LiveKit gives them the streams that there are when they join,
    and no later ones: who publishes cannot receive here, and a run has to end within a minute.
    """

    name = "livekit"

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._http: aiohttp.ClientSession | None = None
        self._clients: list[_Client] = []
        self._url = ""

    def supports(self, scenario: Scenario) -> bool:
        return not scenario.conference

    async def start(self) -> None:
        program = _program()
        if program is None:
            raise UnavailableError("no livekit-server on the PATH or in LIVEKIT_SERVER")
        if not namespace.is_inside():
            raise UnavailableError("livekit needs a network namespace: run the bench as root")
        _protocol()
        self._folder = tempfile.TemporaryDirectory(prefix="livekit-bench-")
        folder, port = Path(self._folder.name), free_port()
        text = _configuration(port, free_port())
        (folder / "livekit.yaml").write_text(text)
        with (folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                program, "--config", str(folder / "livekit.yaml"),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._url = f"http://127.0.0.1:{port}"
        await self._wait_ready(folder / "log")

    async def _wait_ready(self, log: Path) -> None:
        if self._http is None or self._process is None:
            raise UnavailableError("not started")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                while self._process.returncode is None:
                    with contextlib.suppress(aiohttp.ClientConnectionError):
                        async with self._http.get(self._url) as answer:
                            if answer.status == 200:
                                return
                    await asyncio.sleep(0.1)
        text = await asyncio.to_thread(log.read_text, errors="replace")
        raise UnavailableError(f"livekit did not become ready: {text[-1_000:]}")

    def pids(self) -> list[int]:
        return processes.tree(self._process.pid) if self._process is not None else []

    async def join(self, scenario: Scenario) -> Joined:
        if self._http is None:
            raise UnavailableError("not started")
        http = self._http
        self._clients = [_Client(http, self._url) for _ in range(scenario.clients)]
        publishers = self._clients[: scenario.publishers]
        published = []
        for number, client in enumerate(publishers):
            await client.join(f"publisher-{number}")
            published.append(await client.publish(scenario))
        connecting = Connecting()

        async def enter(number: int, client: _Client) -> TransportJob:
            await client.join(f"viewer-{number}")
            return await client.receive(scenario.publishers)

        async def receive(number: int, client: _Client) -> TransportJob:
            return await connecting.one(lambda: enter(number, client))

        viewers = enumerate(self._clients[scenario.publishers :])
        downlinks = await asyncio.gather(*(receive(n, client) for n, client in viewers))
        return Joined(tuple(published), tuple(downlinks), connect_s=connecting.took_s)

    async def leave(self) -> None:
        clients, self._clients = self._clients, []
        await asyncio.gather(*(client.leave() for client in clients), return_exceptions=True)

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.close()
        await processes.stop(self._process)
        if self._folder is not None:
            self._folder.cleanup()
