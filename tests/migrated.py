"""Stores that are migrated already: the migrations run once for each process of tests.

What tests of the migrations themselves open, they migrate.
"""

import atexit
import functools
import shutil
import tempfile
from base64 import urlsafe_b64encode
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from config.secret import Secret
from signaling.storage.postgres import open_postgres
from signaling.storage.revision import MIGRATIONS
from signaling.storage.sqlite import open_sqlite
from signaling.storage.store import SqlStore
from signaling.storage.wrapping import SecretWrapper, wrapper_of
from tests import postgres


@functools.cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="sealroute-migrated-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / "data"


async def open_migrated(folder: Path, **options: int) -> SqlStore:
    """A store without records in a folder that has none, which may be there."""
    template = _template()
    if not template.exists():
        await (await open_sqlite(template)).close()
    shutil.copytree(template, folder, dirs_exist_ok=True)
    return await open_sqlite(folder, **options)


_migrated: dict[Path, str] = {}
"""By server: the database that the migrations ran in, for others to be made like it."""


def postgres_wrapper(folder: Path) -> SecretWrapper:
    return wrapper_of(Secret(urlsafe_b64encode(bytes(32)).decode()), folder)


async def fresh_postgres(folder: Path) -> str:
    """The address of a database without records in the server of that socket."""
    if folder not in _migrated:
        address = postgres.fresh_database(folder)
        await (await open_postgres(Secret(address), postgres_wrapper(folder))).close()
        _migrated[folder] = postgres.name_of(address)
    return postgres.fresh_database(folder, like=_migrated[folder])


def take_back(connection: sa.Connection, revision: str) -> None:
    """Undoes the migrations after that revision in the connection's transaction."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.downgrade(config, revision)
