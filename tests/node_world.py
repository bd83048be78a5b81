"""Running nodes of one cluster in this process, on one database, with media in memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import opentok

from signaling.server import running_server
from tests import postgres
from tests.cluster.fake_cluster import FakeNetwork
from tests.interop.test_running_server import Site, expect, fake_plane
from tests.interop.test_server_on_postgres import node as settings_of

AWAY = 4503
"""The close code after which a client comes back at once, through any node."""


class Nodes:
    """Running nodes of one cluster; `sites[n]` calls node n."""

    def __init__(self, network, http, folder, database):
        self.network, self.http, self.folder, self.database = network, http, folder, database
        self.servers, self.sites, self.stacks = [], [], []

    async def start(self):
        name = f"n{len(self.servers)}"
        stack = contextlib.AsyncExitStack()
        settings = settings_of(self.database, self.folder / name)
        server = await stack.enter_async_context(running_server(settings, open_plane=fake_plane))
        self.servers.append(server)
        self.stacks.append(stack)
        site = Site(server, self.folder / "n0", self.http)
        self.sites.append(site)
        return site

    def clusters(self):
        return list(self.network.living.values())

    async def metric(self, number, name):
        async with self.http.get(f"{self.sites[number].operations_url}/metrics") as answer:
            text = await answer.text()
        return sum(
            float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name)
        )

    async def stop(self):
        for stack in reversed(self.stacks):
            await stack.aclose()


@contextlib.asynccontextmanager
async def running_nodes(postgres_server, folder, monkeypatch) -> AsyncIterator[Nodes]:
    """Two of them; a session is at home at the one where its first client joins."""
    network = FakeNetwork()

    def joining_of(settings, _store):
        return network.joining(Path(settings.storage.data_dir).name)

    monkeypatch.setattr("signaling.server.joining_of", joining_of)
    database = postgres.fresh_database(postgres_server)
    async with aiohttp.ClientSession() as http:
        made = Nodes(network, http, folder, database)
        try:
            for _ in range(2):
                await made.start()
            yield made
        finally:
            await made.stop()


async def room(nodes, *at, **options):
    """A session whose home is node 0, and the sockets of clients at these nodes."""
    first = nodes.sites[0]
    session = await first.session()
    found = SimpleNamespace(session=session, sockets=[], welcomes=[])
    for number in at:
        site = nodes.sites[number]
        socket = await site.join(session, first.token(session, opentok.Roles.moderator, **options))
        found.sockets.append(socket)
        found.welcomes.append(await expect(socket, "welcome"))
    return found


def identity(welcome):
    return welcome["connection"]["connectionId"]


async def closed(socket):
    """The code with which the server ends it."""
    while not socket.closed:
        await asyncio.wait_for(socket.receive(), 10)
    return socket.close_code
