"""Nodes of one cluster as processes, on one PostgreSQL, with HAProxy in front of them."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import opentok
import sqlalchemy as sa
from sealroute_client import Session

from bench.ports import free_port
from config.secret import Secret
from config.settings import StorageSettings
from signaling import administration
from signaling.clock import SystemClock
from signaling.domain.project_changes import ProjectChange, changed
from signaling.storage.base import Store
from signaling.storage.choosing import open_store
from tests import postgres
from tests.served import SECRET, until

BALANCER = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
CLOCK = SystemClock()
KEY = base64.urlsafe_b64encode(b"k" * 32).decode()


class Node:
    """One process of `sealroute serve`."""

    def __init__(self, name: str, folder: Path, database: str) -> None:
        self.name, self.folder = name, folder / name
        self.url = f"http://127.0.0.1:{free_port()}"
        self.operations = free_port()
        self.log = folder / f"{name}.log"
        self.environment = os.environ | {
            "SEALROUTE_STORAGE_URL": database,
            "SEALROUTE_STORAGE_SEALING_KEY": KEY,
            "SEALROUTE_STORAGE_DATA_DIR": str(self.folder),
            "SEALROUTE_CLUSTER_NAME": name,
            "SEALROUTE_CLUSTER_REGION": "here",
            "SEALROUTE_CLUSTER_LINK_HOST": "127.0.0.1",
            "SEALROUTE_CLUSTER_LINK_PORT": "0",
            "SEALROUTE_OPERATIONS_PORT": str(self.operations),
            "SEALROUTE_BROADCAST_PORT": "0",
            "SEALROUTE_HTTP_TRUSTED_PROXIES": "127.0.0.0/8",
        }

    async def ask(self, *words: str) -> object:
        """What a command of `sealroute` with this node's settings answers."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "signaling", *words, "--json"),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
        )
        answer, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, answer
        return json.loads(answer)

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "signaling", "serve", "--host", "127.0.0.1"),
                *("--port", self.url.rpartition(":")[2], "--media-port", "0"),
                *("--media-host", "127.0.0.1", "--log-level", "info"),
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        async with aiohttp.ClientSession() as http, asyncio.timeout(60):
            while not await self._is_ready(http):
                assert self.process.returncode is None, self.log.read_text()
                await asyncio.sleep(0.1)

    async def _is_ready(self, http: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with http.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        return False

    async def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        url = f"http://127.0.0.1:{self.operations}/metrics"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            lines = (await answer.text()).splitlines()
        begins = (f"{name} ", f"{name}{{")
        return sum(float(one.rpartition(" ")[2]) for one in lines if one.startswith(begins))

    async def kill(self) -> None:
        """The process is gone, and nobody was told."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
            await asyncio.wait_for(self.process.wait(), 20)


class Lab:
    """`nodes` run, and share `session_id`, an encrypted session of one project."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder, self.database = folder, database
        self.nodes: list[Node] = []

    async def start(self, count: int) -> None:
        for number in range(count):
            self.nodes.append(Node(f"n{number}", self.folder, self.database))
        async with self._store() as store:
            made = await administration.create_project(
                store, CLOCK, change=lambda one: changed(one, ProjectChange(e2ee_enabled=True))
            )
        self.secret = administration.credentials(made)["apiSecret"]
        self.api_key = made.api_key
        self.session_id = await self.new_session()
        await asyncio.gather(*(node.start() for node in self.nodes))
        await self.sees_each_other(count)

    async def sees_each_other(self, count: int) -> None:
        """Each running node knows of so many."""
        async with asyncio.timeout(15):
            for node in self.running():
                while await node.metric("sealroute_cluster_nodes") != count:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)

    def running(self) -> list[Node]:
        return [one for one in self.nodes if one.process.returncode is None]

    @contextlib.asynccontextmanager
    async def _store(self) -> AsyncIterator[Store]:
        settings = StorageSettings(url=Secret(self.database), sealing_key=Secret(KEY))
        store = await open_store(settings)
        try:
            yield store
        finally:
            await store.close()

    async def new_session(self) -> str:
        async with self._store() as store:
            made = await administration.create_session(store, CLOCK, self.api_key, {"e2ee": True})
        return made.session_id

    def application(self, url: str) -> opentok.Client:
        return opentok.Client(self.api_key, self.secret, api_url=url)

    def client(self, url: str, session_id: str | None = None) -> Session:
        """Not yet connected."""
        named = session_id or self.session_id
        token = self.application(url).generate_token(named, opentok.Roles.moderator)
        return Session(url, self.api_key, named, str(token), SECRET)

    async def home(self, session_id: str | None = None) -> Node | None:
        """The node at which a session is, by the table."""

        def read() -> str | None:
            engine = sa.create_engine(self.database.replace("postgresql:", "postgresql+psycopg:"))
            with engine.connect() as connection:
                found = connection.execute(
                    sa.text(
                        "SELECT n.name FROM cluster_homes AS h"
                        " JOIN cluster_nodes AS n USING (incarnation)"
                        " WHERE h.session_id = :session"
                    ),
                    {"session": session_id or self.session_id},
                ).scalar()
            engine.dispose()
            return found

        name = await asyncio.to_thread(read)
        return next((one for one in self.nodes if one.name == name), None)

    async def stop(self) -> None:
        await asyncio.gather(*(one.stop() for one in self.running()))


@contextlib.asynccontextmanager
async def running_lab(folder: Path, postgres_server: Path, count: int) -> AsyncIterator[Lab]:
    lab = Lab(folder, postgres.fresh_database(postgres_server))
    try:
        await lab.start(count)
        yield lab
    finally:
        await lab.stop()


@contextlib.asynccontextmanager
async def balanced(nodes: list[Node]) -> AsyncIterator[str]:
    """The one URL of three nodes, by the file that operators get."""
    port = free_port()
    environment = os.environ | {"HAPROXY_BIND": f"127.0.0.1:{port}"}
    for number, node in enumerate(nodes, 1):
        environment[f"NODE_{number}"] = node.url.removeprefix("http://")
    process = await asyncio.create_subprocess_exec(
        *("/usr/sbin/haproxy", "-f", str(BALANCER)),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(10):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{url}/readyz") as answer:
                        if answer.status == 200:
                            break
                await asyncio.sleep(0.05)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def received(session: Session, publisher: Session):
    """A subscriber of the other's stream, whose tracks are there."""

    def wanted():
        streams = session.streams.values()
        return [one for one in streams if one["connectionId"] == publisher.connection_id]

    await until(wanted, 20)
    subscriber = await session.subscribe(wanted()[0])
    await asyncio.wait_for(subscriber.wait_for_tracks(), 20)
    return subscriber
