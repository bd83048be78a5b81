"""Migrations in a process of their own: what runs them would stay in the memory of the server.

`python -m signaling.storage.migrating` is that process. It reads the storage settings from its
standard input, because they hold secrets, which arguments and the environment would show.
"""

import asyncio
import importlib
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from config.secret import Secret
from config.settings import StorageSettings
from signaling.domain.errors import DomainError, Unavailable
from signaling.storage.choosing import open_store
from signaling.storage.folder import DATABASE
from signaling.storage.revision import is_known, latest_revision

log = structlog.get_logger(__name__)

_MODULE = "signaling.storage.migrating"


async def migrate_apart(settings: StorageSettings) -> None:
    """Brings the schema up to date if it is not. A failure is left to whoever opens the store: that
    process migrates as well, and says what is wrong."""
    if not await asyncio.to_thread(is_outdated, settings):
        return
    given = {
        "data_dir": settings.data_dir,
        "url": settings.url.reveal(),
        "sealing_key": settings.sealing_key.reveal(),
        "busy_timeout_ms": settings.busy_timeout_ms,
    }
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the working directory may hold anybody's modules
            "-m",
            _MODULE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await process.communicate(json.dumps(given).encode())
    except OSError as failure:
        log.info("migrations run in the server", reason=failure.strerror)


def is_outdated(settings: StorageSettings) -> bool:
    """Whether the schema is older than that of this release. False for a database that does not
    answer."""
    if settings.url.reveal():
        postgres = importlib.import_module("signaling.storage.postgres")
        try:
            return _is_older(postgres.revision_at(settings.url))
        except (Unavailable, SQLAlchemyError):
            return False
    path = Path(settings.data_dir) / DATABASE
    if not path.exists():
        return True
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            (noted,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.Error, TypeError):
        return True
    return _is_older(str(noted))


def _is_older(noted: str | None) -> bool:
    return noted is None or (noted != latest_revision() and is_known(noted))


def main() -> int:
    given = json.load(sys.stdin)
    url, sealing_key = Secret(given.pop("url")), Secret(given.pop("sealing_key"))
    settings = StorageSettings(url=url, sealing_key=sealing_key, **given)

    async def open_and_close() -> None:
        store = await open_store(settings)
        await store.close()

    try:
        asyncio.run(open_and_close())
    except DomainError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
