"""A served Sealroute for tests: one process, one project, one session, and clients of it."""

import asyncio
import atexit
import contextlib
import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import aiohttp
import numpy as np
import opentok
import pytest
from sealroute_client import Session
from sealroute_client.media.sources import draw_pattern

from bench.ports import free_port

SECRET = "correct horse battery"

NEEDS_THE_MEDIA_CORE = pytest.mark.skipif(
    importlib.util.find_spec("sfu._native") is None,
    reason="NOT CHECKED: the media core is not built here",
)


class Prepared(NamedTuple):
    """A data folder with a project and a session, and what the commands that made them answered."""

    folder: Path
    project: dict
    session_id: str


def asked(folder: Path, *words: str) -> dict:
    """What a command of `sealroute` answers."""
    command = [sys.executable, "-m", "signaling", *words, "--json", "--data-dir", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)
    return json.loads(done.stdout)


@functools.cache
def _prepared(project_words: tuple[str, ...], session_words: tuple[str, ...]) -> Prepared:
    """The commands run once for each process of tests; each server has a copy of the folder."""
    folder = Path(tempfile.mkdtemp(prefix="sealroute-served-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    data = folder / "data"
    project = asked(data, "project", "create", "--e2ee", *project_words)
    words = ("session", "create", "--api-key", str(project["apiKey"]), *session_words)
    return Prepared(data, project, str(asked(data, *words)["sessionId"]))


class Server:
    """One server process with a project and one session of it."""

    def __init__(
        self,
        folder,
        *,
        e2ee: bool,
        project: tuple[str, ...] = (),
        config: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        # Many servers at once: no port that is the same for all.
        self.environment = os.environ | {"SEALROUTE_BROADCAST_PORT": "0"} | (config or {})
        self.project_words = project
        self.session_words = ("--e2ee",) if e2ee else ()
        self.url = f"http://127.0.0.1:{free_port()}"

    def ask(self, *words: str) -> dict:
        return asked(self.folder, *words)

    def explained(self) -> list[dict]:
        """Each stream of the session, as `sealroute doctor session` has it."""
        command = [sys.executable, "-m", "signaling", "doctor", "session", self.session_id]
        done = subprocess.run(  # it exits with 1 where something does not flow
            [*command, "--json", "--url", self.url, "--data-dir", str(self.folder)],
            check=False,
            capture_output=True,
            timeout=90,  # a Python of its own, on a machine that may be busy
        )
        return json.loads(done.stdout)

    async def start(self) -> None:
        words = (self.project_words, self.session_words)
        made = await asyncio.to_thread(_prepared, *words)
        await asyncio.to_thread(shutil.copytree, made.folder, self.folder, dirs_exist_ok=True)
        self.project = dict(made.project)
        self.api_key = str(self.project["apiKey"])
        self.session_id = made.session_id
        await self.serve()

    async def new_session(self) -> None:
        words = ("session", "create", "--api-key", self.api_key, *self.session_words)
        self.session_id = (await asyncio.to_thread(self.ask, *words))["sessionId"]

    async def serve(self) -> None:
        """Starts the process, again after its end, on the same port and data."""
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "signaling", "serve", "--data-dir", str(self.folder)),
            *("--host", "127.0.0.1", "--port", self.url.rpartition(":")[2]),
            *("--media-port", "0", "--log-level", "warning"),
            env=self.environment,
        )
        async with aiohttp.ClientSession() as http, asyncio.timeout(60):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{self.url}/readyz", ssl=False) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.1)

    async def member(self, secret: str | None = SECRET) -> Session:
        """Not yet connected."""
        return self.client(self.session_id, await self.token(), secret)

    async def token(self) -> str:
        api = opentok.Client(self.api_key, self.project["apiSecret"])
        return str(api.generate_token(self.session_id))

    def client(self, session_id: str, token: str, secret: str | None = SECRET) -> Session:
        return Session(self.url, self.api_key, session_id, token, secret)

    async def join(self, secret: str | None = SECRET) -> Session:
        session = await self.member(secret)
        await session.connect()
        return session

    async def stop(self) -> None:
        self.process.terminate()
        await asyncio.wait_for(self.process.wait(), 10)


async def until(condition, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def subscribed(session: Session):
    await until(lambda: session.streams)
    subscriber = await session.subscribe(next(iter(session.streams.values())))
    await asyncio.wait_for(subscriber.wait_for_tracks(), 10)
    return subscriber


def psnr(image, number: int) -> float:
    sent = draw_pattern(number, image.width, image.height).to_ndarray().astype(float)
    error = np.mean((image.to_ndarray(format="yuv420p").astype(float) - sent) ** 2)
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)
