"""A node with its outbox over a real store."""

import pytest

from signaling.storage.sqlite import open_sqlite
from tests.callback_world import OTHER, PROJECT, World


@pytest.fixture
async def store(tmp_path):
    opened = await open_sqlite(tmp_path)
    await opened.add_project(PROJECT)
    await opened.add_project(OTHER)
    yield opened
    await opened.close()


@pytest.fixture
async def world(store, tmp_path):
    made = World(store, tmp_path)
    yield made
    made.journal.close(empty=True)
