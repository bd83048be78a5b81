"""Which captions of the database run on this node: a file for each, which a kill leaves behind."""

import asyncio
from pathlib import Path


class Marks:
    """Empty files with the ids of captions as their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def add(self, captions_id: str) -> None:
        """Errors: `OSError`."""
        await asyncio.to_thread(self._add, captions_id)

    async def remove(self, captions_id: str) -> None:
        """Idempotent. Errors: `OSError`."""
        await asyncio.to_thread((self._folder / captions_id).unlink, missing_ok=True)

    async def all(self) -> list[str]:
        """Errors: `OSError`."""
        return await asyncio.to_thread(self._all)

    def _add(self, captions_id: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / captions_id).touch(mode=0o600)

    def _all(self) -> list[str]:
        return sorted(one.name for one in self._folder.iterdir()) if self._folder.is_dir() else []
