"""A server as a user starts it, in a namespace of its own, and its command line."""

import asyncio
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.network import Json
from bench.network.topology import ROOT, SERVER_ADDRESS, Namespace
from bench.processes import cpu_s, resident_bytes, stop, tree

PORT = 8080
URL = f"http://{SERVER_ADDRESS}:{PORT}"
OPERATIONS_URL = "http://127.0.0.1:9091"
"""The default; the server has its namespace to itself."""
SECRET = "a secret of the bench"
_START_TIMEOUT_S = 20.0


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Room:
    """A session of the bench's project."""

    api_key: str
    session_id: str


class Served:
    """Owner of the server's process and of its data folder."""

    def __init__(self, namespace: Namespace, tree: Path = ROOT) -> None:
        self._namespace = namespace
        self._program = str(tree / ".venv/bin/sealroute")
        self._folder = tempfile.TemporaryDirectory(prefix="sealroute-bench-")
        self._process: asyncio.subprocess.Process | None = None
        self._api_key = ""

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("not started")
        return self._process.pid

    def cpu_s(self) -> float:
        """What the server has used so far."""
        return cpu_s(tree(self.pid))

    def resident_mb(self) -> float:
        return resident_bytes(tree(self.pid)) / 1e6

    def descriptors(self) -> tuple[int, int]:
        """Open ones, and those of them that are of the database: its pool opens a connection when
        it first needs one more, and keeps up to its size."""
        found = [
            _target(one) for pid in tree(self.pid) for one in Path(f"/proc/{pid}/fd").iterdir()
        ]
        of_database = [target for target in found if target.startswith(self._folder.name)]
        return len(found), len(of_database)

    async def tasks(self) -> float:
        """Of the event loop; the least of some looks, as requests under way have tasks too."""
        return min([(await self.metrics())["sealroute_tasks"] for _ in range(5)])

    async def start(self) -> None:
        log = (Path(self._folder.name) / "log").open("wb")
        with log:
            self._process = await asyncio.create_subprocess_exec(
                *self._namespace.command(self._program, "serve", "--public-ip", SERVER_ADDRESS),
                *("--port", str(PORT), "--data-dir", self._folder.name),
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(_START_TIMEOUT_S):
            while (await self.get("/readyz")) is None:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        self._api_key = (await self.cli("project", "create", "--e2ee"))["apiKey"]

    async def get(self, path: str, base: str = URL) -> str | None:
        """The body of an answer, or `None` when there is none."""
        process = await asyncio.create_subprocess_exec(
            *self._namespace.command("curl", "-sf", f"{base}{path}"),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        return out.decode() if process.returncode == 0 else None

    async def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its full name."""
        text = await self.get("/metrics", OPERATIONS_URL) or ""
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    async def cli(self, *words: str) -> Json:
        process = await asyncio.create_subprocess_exec(
            *(self._program, *words, "--data-dir", self._folder.name, "--json"),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        return json.loads(out)

    async def room(self) -> Room:
        made = await self.cli("session", "create", "--api-key", self._api_key, "--e2ee")
        return Room(self._api_key, made["sessionId"])

    async def token(self, room: Room) -> str:
        made = await self.cli("token", "--session", room.session_id, "--role", "publisher")
        return str(made["token"])

    async def stop(self) -> None:
        await stop(self._process)
        self._folder.cleanup()
