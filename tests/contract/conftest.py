"""The stores that keep the storage contracts."""

from pathlib import Path

import pytest

from config.secret import Secret
from signaling.storage.base import Store
from signaling.storage.postgres import open_postgres
from signaling.storage.sqlite import open_sqlite
from signaling.storage.wrapping import wrapper_of
from tests import postgres
from tests.migrated import fresh_postgres, open_migrated, postgres_wrapper


async def open_fresh_postgres(folder: Path) -> Store:
    return await open_postgres(Secret(await fresh_postgres(folder)), postgres_wrapper(folder))


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request, tmp_path):
    if request.param == "sqlite":
        opened = await open_migrated(tmp_path / "data")
    else:
        opened = await open_fresh_postgres(request.getfixturevalue("postgres_server"))
    yield opened
    await opened.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store_maker(request, tmp_path):
    """Opens one database again and again: a function without parameters."""
    if request.param == "sqlite":
        return lambda: open_sqlite(tmp_path / "data")
    address = postgres.fresh_database(request.getfixturevalue("postgres_server"))
    wrapper = wrapper_of(Secret(""), tmp_path)
    return lambda: open_postgres(Secret(address), wrapper)
