"""The stores that keep the storage contracts."""

from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from config.secret import Secret
from signaling.storage.base import Store
from signaling.storage.postgres import open_postgres
from signaling.storage.sqlite import open_sqlite
from signaling.storage.wrapping import wrapper_of
from tests import postgres


async def open_fresh_postgres(folder: Path) -> Store:
    key = Secret(urlsafe_b64encode(bytes(32)).decode())
    address = Secret(postgres.fresh_database(folder))
    return await open_postgres(address, wrapper_of(key, folder))


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request, tmp_path):
    if request.param == "sqlite":
        opened = await open_sqlite(tmp_path / "data")
    else:
        opened = await open_fresh_postgres(request.getfixturevalue("postgres_server"))
    yield opened
    await opened.close()
