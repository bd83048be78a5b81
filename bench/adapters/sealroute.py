"""Sealroute: its own process on free ports with a data directory of its own, or a running one."""

import asyncio
import json
import os
import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from opentok import Client, MediaModes  # type: ignore[import-untyped]

from bench import processes
from bench.adapters import UnavailableError
from bench.client import LoadClient, new_kid
from bench.loadgen import ROOT, Connecting, Joined, PublisherJob
from bench.peer import GCM, TransportJob
from bench.ports import free_port
from bench.scenarios import BLOCKED, Scenario
from bench.sdp import (
    AUDIO_LEVEL_EXTENSION,
    MID_EXTENSION,
    OPUS_PAYLOAD_TYPE,
    VP8_PAYLOAD_TYPE,
)

_START_S = 30.0
_JOINS_AT_ONCE = 8
_MID_ZERO = (MID_EXTENSION, b"0".hex())
_HOOKS = {"SEALROUTE_CALLBACKS_ALLOWED_NETWORKS": "127.0.0.0/8"}
_ROOMS = {"SEALROUTE_ROOMS_ENABLED": "true"}
"""Strangers flood them (bench/attack)."""
_QUIET_LEVEL = (AUDIO_LEVEL_EXTENSION, "c0")


@dataclass(frozen=True, slots=True)
class Credentials:
    api_key: str
    api_secret: str


@dataclass(frozen=True, slots=True)
class Served:
    """What a server is started from, where its events go (an address on this machine), and where
    it takes media."""

    tree: Path = ROOT
    callbacks_to: str | None = None
    media_host: str = "127.0.0.1"

    @property
    def python(self) -> str:
        """A tree of its own has its own environment, with its own build of the core."""
        return sys.executable if self.tree == ROOT else str(self.tree / ".venv/bin/python")

    def operations(self, port: int) -> dict[str, str]:
        """Old trees know no such port, and refuse a name that they do not know."""
        knows = "operations" in (self.tree / "config/default.toml").read_text()
        return {"SEALROUTE_OPERATIONS_PORT": str(port)} if knows else {}


@dataclass(frozen=True, slots=True)
class _Room:
    session_id: str
    streams: tuple[str, ...]


class SealrouteAdapter:
    """`url`, `pid` and `credentials` together attach to a server that runs already."""

    def __init__(
        self,
        *,
        profiles: bytes = GCM,
        blocked: bool = False,
        url: str | None = None,
        pid: int | None = None,
        credentials: Credentials | None = None,
        served: Served = Served(),
    ) -> None:
        if len({url is None, pid is None, credentials is None}) != 1:
            raise ValueError("url, pid and credentials only together")
        self._profiles = profiles
        self._module = "bench.blocked_server" if blocked else "signaling"
        self._url = url or ""
        self.metrics_url = ""
        self._pid = pid
        self._credentials = credentials
        self._served = served
        self._process: asyncio.subprocess.Process | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._http: aiohttp.ClientSession | None = None
        self._clients: list[LoadClient] = []
        self._room: _Room | None = None

    @property
    def name(self) -> str:
        if self._module != "signaling":
            return "sealroute-blocked"
        return "sealroute" if self._profiles == GCM else "sealroute-cm80"

    @property
    def url(self) -> str:
        """Of a server that was started."""
        return self._url

    @property
    def api_key(self) -> str:
        if self._credentials is None:
            raise UnavailableError("no credentials")
        return self._credentials.api_key

    def api(self) -> Client:
        """The REST API, for calls that block."""
        if self._credentials is None:
            raise UnavailableError("no credentials")
        return self._api(self._credentials)

    def attached(self) -> "SealrouteAdapter":
        """Another one for the server that this one has started: a second session at once."""
        return SealrouteAdapter(
            profiles=self._profiles, url=self._url, pid=self._pid, credentials=self._credentials
        )

    def supports(self, scenario: Scenario) -> bool:
        return self._module == "signaling" or scenario.name == BLOCKED

    async def start(self) -> None:
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        if self._pid is None:
            await self._start_server()

    async def _start_server(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sealroute-bench-")
        data = Path(self._folder.name)
        created = await self._command(
            "project", "create", "--name", "bench", "--e2ee", "--data-dir", str(data), "--json"
        )
        self._credentials = Credentials(str(created["apiKey"]), str(created["apiSecret"]))
        if self._served.callbacks_to is not None:
            await self._command(
                "callbacks", "add", "--api-key", self._credentials.api_key,
                "--url", self._served.callbacks_to, "--data-dir", str(data), "--json",
            )  # fmt: skip
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        operations = free_port()
        self.metrics_url = f"http://127.0.0.1:{operations}/metrics"
        with (data / "server.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._served.python, "-m", self._module, "serve",
                "--host", "127.0.0.1", "--port", str(port),
                "--media-host", self._served.media_host, "--media-port", "0",
                "--public-ip", "127.0.0.1", "--data-dir", str(data), "--log-level", "warning",
                cwd=self._served.tree, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **_HOOKS, **_ROOMS, **self._served.operations(operations)},
            )  # fmt: skip
        self._pid = self._process.pid
        await self._wait_ready(data / "server.log")

    async def _command(self, *arguments: str) -> dict[str, object]:
        process = await asyncio.create_subprocess_exec(
            self._served.python, "-m", "signaling", *arguments,
            cwd=self._served.tree, env={**os.environ, **_HOOKS},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        if process.returncode != 0:
            raise UnavailableError(f"sealroute {arguments[0]}: {err.decode()[-500:]}")
        found: dict[str, object] = json.loads(out)
        return found

    async def _wait_ready(self, log: Path) -> None:
        process, http = self._process, self._http
        if process is None or http is None:
            raise UnavailableError("not started")
        try:
            async with asyncio.timeout(_START_S):
                while process.returncode is None:
                    try:
                        async with http.get(f"{self._url}/readyz") as answer:
                            if answer.status == 200:
                                return
                    except aiohttp.ClientConnectionError:
                        pass
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pass
        text = await asyncio.to_thread(log.read_text, errors="replace")
        raise UnavailableError(f"sealroute serve did not become ready: {text[-1_000:]}")

    def pids(self) -> list[int]:
        return processes.tree(self._pid) if self._pid is not None else []

    def _api(self, credentials: Credentials) -> Client:
        return Client(credentials.api_key, credentials.api_secret, api_url=self._url, timeout=30)

    def new_session(self, clients: int) -> tuple[str, list[str]]:
        """An encrypted session, and a token for each client. Blocks."""
        if self._credentials is None:
            raise UnavailableError("no credentials")
        api = self._api(self._credentials)
        session = api.create_session(media_mode=MediaModes.routed, e2ee=True)
        tokens = [api.generate_token(session.session_id) for _ in range(clients)]
        return session.session_id, tokens

    async def join(self, scenario: Scenario) -> Joined:
        session_id, tokens = await asyncio.to_thread(self.new_session, scenario.clients)
        if self._http is None or self._credentials is None:
            raise UnavailableError("not started")
        self._clients = [LoadClient(self._http, self._profiles) for _ in tokens]
        at_once = asyncio.Semaphore(_JOINS_AT_ONCE)
        api_key = self._credentials.api_key

        async def enter(client: LoadClient, token: str) -> None:
            async with at_once:
                await client.join(self._url, api_key, session_id, token)

        await asyncio.gather(*map(enter, self._clients, tokens))
        senders = self._clients[: scenario.publishers]
        streams = [await self._publish(client, scenario) for client in senders]
        receivers = senders if scenario.conference else self._clients[scenario.publishers :]
        of = {client: stream for client, (stream, _) in zip(senders, streams, strict=True)}
        self._room = _Room(session_id, tuple(of.values()))

        connecting = Connecting()

        async def receive(client: LoadClient) -> TransportJob:
            others = [stream for owner, stream in of.items() if owner is not client]
            return await connecting.one(lambda: client.subscribe(others))

        downlinks = await asyncio.gather(*map(receive, receivers))
        return Joined(
            tuple(job for _, job in streams), tuple(downlinks), connect_s=connecting.took_s
        )

    async def join_late(self) -> TransportJob:
        """One more viewer of all streams in the room that `join` made."""
        if self._http is None or self._credentials is None or self._room is None:
            raise UnavailableError("nobody has joined")
        client = LoadClient(self._http, self._profiles)
        self._clients.append(client)
        token = self._api(self._credentials).generate_token(self._room.session_id)
        await client.join(self._url, self._credentials.api_key, self._room.session_id, token)
        return await client.subscribe(list(self._room.streams))

    def flood_job(self, members: int) -> dict[str, object]:
        """What a flood of bench.attack needs: an encrypted session, and tokens of it. Blocks."""
        if self._credentials is None:
            raise UnavailableError("not started")
        session_id, tokens = self.new_session(1 + members)
        return {
            "url": self._url,
            "apiKey": self._credentials.api_key,
            "session": session_id,
            "tokens": tokens,
        }

    async def join_alone(self, sessions: int) -> list[TransportJob]:
        """Sessions with one publisher of audio each; their uplinks."""
        if self._http is None or self._credentials is None:
            raise UnavailableError("not started")
        http, api_key = self._http, self._credentials.api_key
        connecting = Connecting()

        async def alone() -> TransportJob:
            session_id, (token,) = await asyncio.to_thread(self.new_session, 1)
            client = LoadClient(http, self._profiles)
            self._clients.append(client)
            await client.join(self._url, api_key, session_id, token)
            _, transport = await client.publish("audio", secrets.randbits(30), new_kid())
            return transport

        return await asyncio.gather(*(connecting.one(alone) for _ in range(sessions)))

    async def _publish(self, client: LoadClient, scenario: Scenario) -> tuple[str, PublisherJob]:
        ssrc, kid = secrets.randbits(30), new_kid()
        stream_id, transport = await client.publish(scenario.kind, ssrc, kid)
        is_video = scenario.kind == "video"
        job = PublisherJob(
            transport=transport,
            ssrc=ssrc,
            payload_type=VP8_PAYLOAD_TYPE if is_video else OPUS_PAYLOAD_TYPE,
            kid=kid,
            extensions=(_MID_ZERO,) if is_video else (_QUIET_LEVEL, _MID_ZERO),
        )
        return stream_id, job

    async def leave(self) -> None:
        clients, self._clients = self._clients, []
        refused = sum(client.not_encrypted for client in clients)
        await asyncio.gather(*(client.leave() for client in clients))
        if refused:
            raise RuntimeError(
                f"the plaintext guard refused {refused} packets: the run is worthless"
            )

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.close()
        await processes.stop(self._process)
        if self._folder is not None:
            self._folder.cleanup()
