"""The folders of broadcasts on this node: one for each, by id, which the HLS server serves."""

import asyncio
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from sfu.egress import viewer_keys
from sfu.egress.ended_playlist import ended
from signaling.domain.broadcasting import BroadcastRecord

_ONLY_OWNER = 0o700
KEY_FILE = "key"
PLAYLIST_FILE = "index.m3u8"
_MAX_PLAYLIST_BYTES = 4_194_304


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

    async def end_playlist(self, record: BroadcastRecord) -> None:
        """Gives the playlist an end where its writer did not: that one must be gone. Errors:
        `OSError`."""
        await asyncio.to_thread(self._end_playlist, record)

    def _end_playlist(self, record: BroadcastRecord) -> None:
        """What wrote there handled the bytes of participants: no link is followed."""
        path = self.folder(record) / PLAYLIST_FILE
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # it never began, or was none
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return
            text = file.read(_MAX_PLAYLIST_BYTES).decode("ascii", "replace")
        whole = ended(text)
        if whole == text:
            return
        unfinished = path.with_name(f"{PLAYLIST_FILE}.{uuid.uuid4()}")
        with unfinished.open("x", encoding="ascii", errors="replace") as file:
            file.write(whole)
        unfinished.replace(path)

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
