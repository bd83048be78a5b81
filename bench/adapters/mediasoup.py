"""mediasoup, when `MEDIASOUP` names its package's folder with a worker that was built.

Driven by a small program on Node; all its processes count, as those of every server do.
"""

import asyncio
import itertools
import json
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench import namespace, processes, sdp
from bench.adapters import UnavailableError
from bench.loadgen import Connecting, Joined, PublisherJob
from bench.peer import GCM, Peer, TransportJob
from bench.scenarios import Scenario
from bench.sdp import RemoteDescription

_PROGRAM = Path(__file__).with_name("mediasoup_server.cjs")
_START_S = 20.0
_ANSWER_S = 30.0


class MediasoupAdapter:
    """One worker, one router."""

    def __init__(self, profiles: bytes = GCM) -> None:
        self._profiles = profiles
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._peers: list[Peer] = []

    @property
    def name(self) -> str:
        return "mediasoup" if self._profiles == GCM else "mediasoup-cm80"

    def supports(self, scenario: Scenario) -> bool:  # noqa: ARG002 - all are
        return True

    async def start(self) -> None:
        folder, node = os.environ.get("MEDIASOUP"), shutil.which("node")
        if folder is None or node is None:
            raise UnavailableError("no node, or no folder of mediasoup in MEDIASOUP")
        address = namespace.ADDRESS if namespace.is_inside() else "127.0.0.1"
        self._process = await asyncio.create_subprocess_exec(
            node, str(_PROGRAM), folder, address,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        ready = self._waiting[0] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(self._process))
        try:
            async with asyncio.timeout(_START_S):
                await ready
        except TimeoutError:
            raise UnavailableError("mediasoup did not start") from None

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is not None:
            async for line in process.stdout:
                said = json.loads(line)
                future = self._waiting.pop(said.pop("number"), None)
                if future is not None and not future.done():
                    future.set_result(said)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(UnavailableError("mediasoup ended"))

    async def _ask(self, command: str, **arguments: object) -> dict[str, Any]:
        if self._process is None or self._process.stdin is None:
            raise UnavailableError("not started")
        number = next(self._numbers)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        text = json.dumps({"number": number, "command": command, **arguments})
        self._process.stdin.write(f"{text}\n".encode())
        async with asyncio.timeout(_ANSWER_S):
            said = await future
        if "error" in said:
            raise UnavailableError(f"mediasoup: {said['error']}")
        return said

    def pids(self) -> list[int]:
        return processes.tree(self._process.pid) if self._process is not None else []

    async def _connect(self) -> tuple[str, TransportJob]:
        address = namespace.ADDRESS if namespace.is_inside() else "127.0.0.1"
        peer = Peer(bind_host=address, profiles=self._profiles)
        self._peers.append(peer)
        made = await self._ask("transport")
        await self._ask("connect", transport=made["id"], fingerprint=peer.local.fingerprint)
        digest = made["fingerprint"].replace(":", "").lower()
        remote = RemoteDescription(
            made["ufrag"], made["password"], (("sha-256", digest),), ((address, made["port"]),)
        )
        return made["id"], await asyncio.to_thread(peer.connect, remote)

    async def _publish(self, scenario: Scenario) -> tuple[str, PublisherJob]:
        transport, job = await self._connect()
        ssrc, is_video = secrets.randbits(30), scenario.kind == "video"
        made = await self._ask("produce", transport=transport, kind=scenario.kind, ssrc=ssrc)
        payload_type = sdp.VP8_PAYLOAD_TYPE if is_video else sdp.OPUS_PAYLOAD_TYPE
        return made["id"], PublisherJob(job, ssrc, payload_type, None)

    async def join(self, scenario: Scenario) -> Joined:
        published = [await self._publish(scenario) for _ in range(scenario.publishers)]
        producers = [producer for producer, _ in published]
        connecting = Connecting()

        async def enter(own: str | None) -> TransportJob:
            transport, job = await self._connect()
            for producer in producers:
                if producer != own:
                    await self._ask("consume", transport=transport, producer=producer)
            return job

        async def receive(own: str | None) -> TransportJob:
            return await connecting.one(lambda: enter(own))

        owners = producers if scenario.conference else [None] * scenario.subscribers
        downlinks = await asyncio.gather(*map(receive, owners))
        jobs = tuple(job for _, job in published)
        return Joined(jobs, tuple(downlinks), connect_s=connecting.took_s)

    async def leave(self) -> None:
        with suppress(UnavailableError):
            await self._ask("clear")
        for peer in self._peers:
            peer.close()
        self._peers.clear()

    async def stop(self) -> None:
        await processes.stop(self._process)
        if self._reader is not None:
            await self._reader
