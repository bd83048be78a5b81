"""A captions world for each test."""

import pytest

from signaling.storage.sqlite import open_sqlite
from tests.captions_world import CaptionsWorld


@pytest.fixture
async def world(tmp_path):
    made = CaptionsWorld(await open_sqlite(tmp_path / "data"), tmp_path, running_per_project=2)
    yield await made.prepare()
    await made.close()
