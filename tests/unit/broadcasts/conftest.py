"""A broadcast world for each test."""

import pytest

from signaling.storage.sqlite import open_sqlite
from tests.broadcast_world import BroadcastWorld


@pytest.fixture
async def world(tmp_path):
    made = BroadcastWorld(await open_sqlite(tmp_path / "data"), tmp_path)
    yield await made.prepare()
    await made.close()
