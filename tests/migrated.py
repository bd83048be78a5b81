"""Stores that are migrated already: the migrations run once for each process of tests.

What tests of the migrations themselves open, they migrate.
"""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from signaling.storage.sqlite import open_sqlite
from signaling.storage.store import SqlStore


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
