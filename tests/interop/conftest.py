"""A server of encrypted sessions, and the sessions of the Python client in a test."""

import asyncio

import pytest
from sealroute_client import Session

from tests.node_world import running_nodes
from tests.served import Server


@pytest.fixture
async def server(tmp_path):
    running = Server(tmp_path / "data", e2ee=True)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def sessions():
    joined: list[Session] = []
    yield joined
    await asyncio.gather(*(session.disconnect() for session in joined))


@pytest.fixture
async def nodes(postgres_server, tmp_path, monkeypatch):
    async with running_nodes(postgres_server, tmp_path, monkeypatch) as running:
        yield running
