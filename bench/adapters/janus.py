"""Janus from the distribution, with a generated configuration: videoroom and streaming.

`event_loops` 0 is how it is packaged (a thread per PeerConnection); 1 and 2 are its best.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any, Literal

import aiohttp

from bench import namespace, processes, sdp
from bench.adapters import UnavailableError
from bench.loadgen import Connecting, Joined, PublisherJob
from bench.peer import GCM, Peer, TransportJob
from bench.ports import free_port
from bench.scenarios import Scenario

Plugin = Literal["videoroom", "streaming"]
_START_S = 15.0
_ANSWER_S = 30.0
_ROOM = 1_234
_PLUGINS_FOLDER = Path("/usr/lib/x86_64-linux-gnu/janus/plugins")
_TRANSPORTS_FOLDER = _PLUGINS_FOLDER.parent / "transports"


def _others(folder: Path, kept: str) -> str:
    return ",".join(sorted(p.name for p in folder.glob("*.so") if p.name != kept))


def _configuration(plugin: Plugin, event_loops: int) -> str:
    return f"""general: {{
  plugins_folder = "{_PLUGINS_FOLDER}"
  transports_folder = "{_TRANSPORTS_FOLDER}"
  debug_level = 2
  event_loops = {event_loops}
}}
nat: {{ ice_lite = true ice_enforce_list = "{namespace.ADDRESS}" }}
plugins: {{ disable = "{_others(_PLUGINS_FOLDER, f"libjanus_{plugin}.so")}" }}
transports: {{ disable = "{_others(_TRANSPORTS_FOLDER, "libjanus_http.so")}" }}
events: {{ broadcast = false }}
"""


def _http_configuration(port: int) -> str:
    return f"""general: {{ json = "compact" base_path = "/janus" http = true port = {port}
  ip = "127.0.0.1" https = false }}
admin: {{ admin_http = false }}
"""


async def install() -> None:
    """Installs the package when it is missing and this is root. Raises `UnavailableError`."""
    if shutil.which("janus"):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise UnavailableError("janus is missing: apt-get install janus")
    process = await asyncio.create_subprocess_exec(
        "apt-get", "install", "-y", "--no-install-recommends", "janus",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    if await process.wait() != 0 or not shutil.which("janus"):
        raise UnavailableError("janus could not be installed")


class _Api:
    """Janus's HTTP interface: one API session with many handles, and one long poll."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, url
        self._session = ""
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._poll: asyncio.Task[None] | None = None

    async def open(self) -> None:
        created = await self._post(self._url, {"janus": "create"})
        self._session = f"{self._url}/{created['data']['id']}"
        self._poll = asyncio.create_task(self._read())

    async def close(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
            await asyncio.gather(self._poll, return_exceptions=True)
        if self._session:
            with contextlib.suppress(aiohttp.ClientError):
                await self._post(self._session, {"janus": "destroy"})

    async def _post(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        body = {"transaction": secrets.token_hex(8), **body}
        async with self._http.post(url, json=body) as answer:
            found: dict[str, Any] = await answer.json(content_type=None)
        if found.get("janus") == "error":
            raise UnavailableError(f"janus: {found['error']['reason']}")
        return found

    async def _read(self) -> None:
        while True:
            async with self._http.get(f"{self._session}?maxev=20") as answer:
                events = await answer.json(content_type=None)
            for event in events if isinstance(events, list) else [events]:
                future = self._waiting.pop(event.get("transaction", ""), None)
                if future is not None and not future.done():
                    future.set_result(event)

    async def attach(self, plugin: Plugin) -> int:
        body = {"janus": "attach", "plugin": f"janus.plugin.{plugin}"}
        attached = await self._post(self._session, body)
        return int(attached["data"]["id"])

    async def ask(
        self, handle: int, body: dict[str, Any], jsep: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """A plugin request; what it answers at once or, when it only acknowledges, later."""
        transaction = secrets.token_hex(8)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = future
        message: dict[str, Any] = {"janus": "message", "transaction": transaction, "body": body}
        if jsep is not None:
            message["jsep"] = jsep
        found = await self._post(f"{self._session}/{handle}", message)
        if found.get("janus") == "ack":
            async with asyncio.timeout(_ANSWER_S):
                found = await future
        data = found.get("plugindata", {}).get("data", {})
        if "error" in data:
            raise UnavailableError(f"janus: {data['error']}")
        return found


class JanusAdapter:
    """One Janus process per adapter."""

    def __init__(self, plugin: Plugin, event_loops: int, profiles: bytes = GCM) -> None:
        self._profiles = profiles
        self._plugin: Plugin = plugin
        self._event_loops = event_loops
        self._process: asyncio.subprocess.Process | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._http: aiohttp.ClientSession | None = None
        self._api: _Api | None = None
        self._url = ""
        self._peers: list[Peer] = []
        self._sockets: list[socket.socket] = []

    @property
    def name(self) -> str:
        suffix = "" if self._profiles == GCM else "-cm80"
        return f"janus-{self._plugin}-ev{self._event_loops}{suffix}"

    def supports(self, scenario: Scenario) -> bool:
        return self._plugin == "videoroom" or (
            scenario.publishers == 1 and scenario.subscribers > 0
        )

    async def start(self) -> None:
        if not namespace.is_inside():
            raise UnavailableError("janus needs a network namespace: run the bench as root")
        if not shutil.which("janus"):
            raise UnavailableError("janus is missing: apt-get install janus")
        self._folder = tempfile.TemporaryDirectory(prefix="janus-bench-")
        folder, port = Path(self._folder.name), free_port()
        files = {
            "janus.jcfg": _configuration(self._plugin, self._event_loops),
            "janus.transport.http.jcfg": _http_configuration(port),
            f"janus.plugin.{self._plugin}.jcfg": "general: { }\n",
        }
        for name, text in files.items():
            (folder / name).write_text(text)
        with (folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                "janus", "-F", str(folder), "-C", str(folder / "janus.jcfg"),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._url = f"http://127.0.0.1:{port}/janus"
        await self._wait_ready(folder / "log")

    async def _wait_ready(self, log: Path) -> None:
        if self._http is None or self._process is None:
            raise UnavailableError("not started")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                while self._process.returncode is None:
                    with contextlib.suppress(aiohttp.ClientConnectionError):
                        async with self._http.get(f"{self._url}/info") as answer:
                            if answer.status == 200:
                                return
                    await asyncio.sleep(0.1)
        text = await asyncio.to_thread(log.read_text, errors="replace")
        raise UnavailableError(f"janus did not become ready: {text[-1_000:]}")

    def pids(self) -> list[int]:
        return processes.tree(self._process.pid) if self._process is not None else []

    def _peer(self) -> Peer:
        peer = Peer(bind_host=namespace.ADDRESS, profiles=self._profiles)
        self._peers.append(peer)
        return peer

    async def join(self, scenario: Scenario) -> Joined:
        if self._http is None:
            raise UnavailableError("not started")
        api = self._api = _Api(self._http, self._url)
        await api.open()
        if self._plugin == "streaming":
            publishers, watch = (
                [await self._mount(api, scenario)],
                {"request": "watch", "id": _ROOM},
            )
            requests = [watch] * scenario.subscribers
        else:
            publishers, requests = await self._publish_all(api, scenario)
        connecting = Connecting()

        async def receive(request: dict[str, Any]) -> TransportJob:
            return await connecting.one(lambda: self._receive(api, request))

        downlinks = await asyncio.gather(*map(receive, requests))
        return Joined(tuple(publishers), tuple(downlinks), connect_s=connecting.took_s)

    async def _publish_all(
        self, api: _Api, scenario: Scenario
    ) -> tuple[list[PublisherJob], list[dict[str, Any]]]:
        handle = await api.attach("videoroom")
        room = {
            "request": "create", "room": _ROOM, "publishers": 100, "bitrate": 0,
            "videocodec": "vp8", "audiocodec": "opus", "transport_wide_cc_ext": False,
        }  # fmt: skip
        await api.ask(handle, room)
        published = [await self._publish(api, scenario) for _ in range(scenario.publishers)]
        feeds = [feed for feed, _ in published]

        def request(others: list[int]) -> dict[str, Any]:
            streams = [{"feed": feed} for feed in others]
            return {"request": "join", "ptype": "subscriber", "room": _ROOM, "streams": streams}

        if scenario.conference:
            requests = [request([feed for feed in feeds if feed != own]) for own in feeds]
        else:
            requests = [request(feeds)] * scenario.subscribers
        return [job for _, job in published], requests

    async def _publish(self, api: _Api, scenario: Scenario) -> tuple[int, PublisherJob]:
        handle, peer, ssrc = await api.attach("videoroom"), self._peer(), secrets.randbits(30)
        joined = await api.ask(handle, {"request": "join", "ptype": "publisher", "room": _ROOM})
        # Janus would be the DTLS client otherwise; load clients are.
        offer = sdp.uplink_offer(peer.local, scenario.kind, ssrc, setup="active")
        jsep = {"type": "offer", "sdp": offer}
        answered = await api.ask(handle, {"request": "configure"}, jsep)
        remote = sdp.remote_description(answered["jsep"]["sdp"])
        transport = await asyncio.to_thread(peer.connect, remote)
        feed = int(joined["plugindata"]["data"]["id"])
        return feed, self._job(scenario, transport, ssrc)

    @staticmethod
    def _job(scenario: Scenario, transport: TransportJob, ssrc: int) -> PublisherJob:
        is_video = scenario.kind == "video"
        payload_type = sdp.VP8_PAYLOAD_TYPE if is_video else sdp.OPUS_PAYLOAD_TYPE
        return PublisherJob(transport, ssrc, payload_type, None)

    async def _mount(self, api: _Api, scenario: Scenario) -> PublisherJob:
        is_video = scenario.kind == "video"
        handle, port = await api.attach("streaming"), free_port()
        media = {
            "type": scenario.kind,
            "mid": "0",
            "port": port,
            "pt": sdp.VP8_PAYLOAD_TYPE if is_video else sdp.OPUS_PAYLOAD_TYPE,
            "codec": "vp8" if is_video else "opus",
        }
        mountpoint = {"request": "create", "type": "rtp", "id": _ROOM, "media": [media]}
        await api.ask(handle, mountpoint)
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sockets.append(sender)
        sender.connect((namespace.ADDRESS, port))
        return self._job(scenario, TransportJob(sender.fileno(), None, None), secrets.randbits(30))

    async def _receive(self, api: _Api, request: dict[str, Any]) -> TransportJob:
        handle, peer = await api.attach(self._plugin), self._peer()
        offered = await api.ask(handle, request)
        offer = offered["jsep"]["sdp"]
        jsep = {"type": "answer", "sdp": sdp.downlink_answer(peer.local, offer)}
        await api.ask(handle, {"request": "start"}, jsep)
        return await asyncio.to_thread(peer.connect, sdp.remote_description(offer))

    async def leave(self) -> None:
        """Rooms and mountpoints are not permanent, but outlive handles: they are destroyed."""
        if self._api is not None:
            with contextlib.suppress(UnavailableError, aiohttp.ClientError):
                handle = await self._api.attach(self._plugin)
                name = "room" if self._plugin == "videoroom" else "id"
                await self._api.ask(handle, {"request": "destroy", name: _ROOM})
            await self._api.close()
            self._api = None
        for peer in self._peers:
            peer.close()
        for sender in self._sockets:
            sender.close()
        self._peers.clear()
        self._sockets.clear()

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.close()
        await processes.stop(self._process)
        if self._folder is not None:
            self._folder.cleanup()
