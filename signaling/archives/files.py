"""The folders of archives on this node's disk: one per archive, by project."""

import asyncio
import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from signaling.domain.archiving import COMPOSED_FILE, INDIVIDUAL_FILE, ArchiveRecord
from signaling.domain.projects import is_api_key

_ONLY_OWNER = 0o700
_BLOCK_BYTES = 512
"""What `stat` counts in, whatever the file system's blocks are."""
OWN_FILES = (INDIVIDUAL_FILE, COMPOSED_FILE, "journal.jsonl", "result.json")
"""One of them is in every folder that a recording process has begun."""


class ArchiveFiles:
    """A record without its folder here belongs to another node: the folder is made before the
    record is stored."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, record: ArchiveRecord) -> Path:
        return self._root / record.project_id / record.id

    def file(self, record: ArchiveRecord) -> Path:
        return self.folder(record) / record.file_name

    def free_bytes(self) -> int:
        """What is free where the files are, or will be."""
        place = self._root
        while not place.exists():
            place = place.parent
        found = os.statvfs(place)
        return found.f_bavail * found.f_frsize

    def bytes_of(self, project_id: str) -> int:
        """What the archives of a project take here. Errors: `OSError`."""
        return sum(_blocks_in(folder) for folder in _entries(self._root / project_id))

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

    async def untouched_since(self, unix_s: float) -> list[Path]:
        """The folders of archives here that nothing was written to since then."""
        return await asyncio.to_thread(lambda: list(self._untouched_since(unix_s)))

    async def delete_stray(self, folder: Path) -> None:
        """Deletes the folder of an archive that has no record any more."""
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _untouched_since(self, unix_s: float) -> Iterator[Path]:
        """The operator may have put other things beside them: only what looks like ours in every
        way is."""
        for project in self._root.glob("*"):
            if not is_api_key(project.name) or project.is_symlink():
                continue
            for folder in project.glob("*"):
                if _is_archive(folder) and folder.stat().st_mtime < unix_s:
                    yield folder


def _entries(folder: str | Path) -> list["os.DirEntry[str]"]:
    """Empty for what is no folder, or not any more."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _blocks_in(folder: "os.DirEntry[str]") -> int:
    """The bytes of the files in a folder; recordings make no others within."""
    if not folder.is_dir(follow_symlinks=False):
        return 0
    total = 0
    for file in _entries(folder.path):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES
    return total


def _is_archive(folder: Path) -> bool:
    try:
        named = str(uuid.UUID(folder.name)) == folder.name
    except ValueError:
        return False
    is_folder = named and folder.is_dir() and not folder.is_symlink()
    return is_folder and any((folder / name).is_file() for name in OWN_FILES)
