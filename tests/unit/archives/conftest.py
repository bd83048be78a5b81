"""An archive world for each test."""

import pytest

from signaling.storage.sqlite import open_sqlite
from tests.archive_world import ArchiveWorld


@pytest.fixture
async def world(tmp_path):
    made = ArchiveWorld(await open_sqlite(tmp_path / "data"), tmp_path)
    yield await made.prepare()
    await made.close()
