"""A REST server that records archives, in memory, and what its callers do first."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp.test_utils import TestClient, TestServer

from tests.archive_world import ArchiveWorld
from tests.rest_caller import PUBLIC_PEM, Caller
from tests.rest_server import open_rest_server

INDIVIDUAL = {"outputMode": "individual"}


@asynccontextmanager
async def open_archive_site(tmp_path: Path, **options: object) -> AsyncIterator[Caller]:
    """A caller, and the archives of its server in `world`; one client publishes."""
    worlds = []

    def archives_of(store, owner):
        worlds.append(ArchiveWorld(store, tmp_path, owner))
        return worlds[0].archives

    server = await open_rest_server(
        tmp_path, archives_of=archives_of, public_key_pem=PUBLIC_PEM, **options
    )
    async with TestClient(TestServer(server.app)) as client:
        caller = Caller(server, client)
        caller.world = worlds[0]
        await server.store.add_session(caller.world.session)
        caller.ann, caller.stream = await caller.world.publisher()
        yield caller
        await caller.world.close()


async def start(site: Caller, **members: object):
    body = {"sessionId": site.world.session.session_id, **INDIVIDUAL, **members}
    return await site.call("POST", site.path("/archive"), json=body)


async def available(site: Caller) -> dict[str, object]:
    _, made = await start(site)
    site.world.egress.jobs[made["id"]].record(64_400)
    await site.call("POST", site.path(f"/archive/{made['id']}/stop"))
    await site.world.over()
    _, shown = await site.call("GET", site.path(f"/archive/{made['id']}"))
    return shown


def link_of(archive: dict[str, object]) -> str:
    return str(archive["url"]).removeprefix("http://node.test")
