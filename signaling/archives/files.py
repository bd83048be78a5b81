"""The folders of archives on this node's disk: one per archive, by project."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from signaling.domain.archive_links import FILE_NAME
from signaling.domain.archiving import ArchiveRecord

_ONLY_OWNER = 0o700


class ArchiveFiles:
    """A record without its folder here belongs to another node: the folder is made before the
    record is stored."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, record: ArchiveRecord) -> Path:
        return self._root / record.project_id / record.id

    def file(self, record: ArchiveRecord) -> Path:
        return self.folder(record) / FILE_NAME

    def free_bytes(self) -> int:
        """What is free where the files are, or will be."""
        place = self._root
        while not place.exists():
            place = place.parent
        found = os.statvfs(place)
        return found.f_bavail * found.f_frsize

    async def make(self, record: ArchiveRecord) -> None:
        """Errors: `OSError`."""
        await asyncio.to_thread(self._make, record)

    def _make(self, record: ArchiveRecord) -> None:
        # `parents` would make them with another mode.
        for folder in (self._root, self._root / record.project_id, self.folder(record)):
            folder.mkdir(mode=_ONLY_OWNER, exist_ok=True)

    async def exist(self, record: ArchiveRecord) -> bool:
        return await asyncio.to_thread(self.folder(record).is_dir)

    async def delete(self, record: ArchiveRecord) -> None:
        await asyncio.to_thread(shutil.rmtree, self.folder(record), ignore_errors=True)

    async def ids(self) -> list[str]:
        """The archives that have a folder here."""
        return await asyncio.to_thread(lambda: [folder.name for folder in self._folders()])

    async def delete_stray(self, archive_id: str) -> None:
        """Deletes the folder of an archive that has no record any more."""
        await asyncio.to_thread(self._delete_stray, archive_id)

    def _delete_stray(self, archive_id: str) -> None:
        for folder in list(self._folders()):
            if folder.name == archive_id:
                shutil.rmtree(folder, ignore_errors=True)

    def _folders(self) -> Iterator[Path]:
        for project in self._root.glob("*"):
            if project.is_dir():
                yield from (folder for folder in project.glob("*") if folder.is_dir())
