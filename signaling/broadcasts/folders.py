"""The folders of broadcasts on this node: one for each, by id, which the HLS server serves."""

import asyncio
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from sfu.egress import viewer_keys
from signaling.domain.broadcasting import BroadcastRecord

_ONLY_OWNER = 0o700
KEY_FILE = "key"


class BroadcastFolders:
    """A record without its folder here belongs to another node: the folder is made before the
    record is stored."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, record: BroadcastRecord) -> Path:
        return self.root / record.id

    def free_bytes(self) -> int:
        """What is free where the files are, or will be."""
        place = self.root
        while not place.exists():
            place = place.parent
        found = os.statvfs(place)
        return found.f_bavail * found.f_frsize

    async def make(self, record: BroadcastRecord) -> None:
        """Errors: `OSError`."""
        await asyncio.to_thread(self._make, record)

    def _make(self, record: BroadcastRecord) -> None:
        for folder in (self.root, self.folder(record)):
            folder.mkdir(mode=_ONLY_OWNER, exist_ok=True)
        kept = "" if record.hls is None else viewer_keys.kept(record.hls.key)
        (self.folder(record) / KEY_FILE).write_text(kept, encoding="ascii")

    async def exist(self, record: BroadcastRecord) -> bool:
        return await asyncio.to_thread(self.folder(record).is_dir)

    async def delete(self, record: BroadcastRecord) -> None:
        await asyncio.to_thread(shutil.rmtree, self.folder(record), ignore_errors=True)

    async def all(self) -> list[str]:
        """The ids of the broadcasts that have a folder here. The operator may have put other things
        beside them: only what looks like ours in every way is."""
        return await asyncio.to_thread(lambda: list(self._all()))

    def _all(self) -> Iterator[str]:
        for folder in self.root.glob("*"):
            if _is_id(folder.name) and not folder.is_symlink() and (folder / KEY_FILE).is_file():
                yield folder.name

    async def delete_stray(self, broadcast_id: str) -> None:
        """Deletes the folder of a broadcast that has no record any more."""
        await asyncio.to_thread(shutil.rmtree, self.root / broadcast_id, ignore_errors=True)


def _is_id(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
