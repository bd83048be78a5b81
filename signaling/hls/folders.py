"""The folders of broadcasts as viewers reach them: names are checked before they become paths."""

import errno
import hmac
import os
import re
import stat
import uuid
from collections import OrderedDict
from pathlib import Path

from sfu.egress import viewer_keys
from sfu.egress.blocking_reload import Position, position_of

KEY_FILE = "key"
PLAYLIST_FILE = "index.m3u8"
_FILES = re.compile(r"init\.mp4|(\d{1,12})(?:\.(\d{1,6}))?\.m4s")
_KEY = re.compile(r"[0-9a-f]{32}")
_MAX_PLAYLIST_BYTES = 4_194_304
_MAX_PART_BYTES = 67_108_864
_MAX_KEY_BYTES = 64
CACHE_BYTES = 67_108_864
"""Parts are asked for by all viewers at the same moment: the newest ones are in memory."""


class Part:
    """The name of a file of media: what it is is in its name."""

    def __init__(self, name: str) -> None:
        """Errors: `ValueError` for any other name."""
        match = _FILES.fullmatch(name)
        if match is None:
            raise ValueError("no file of a broadcast")
        self.name = name
        self.segment = None if match[1] is None else int(match[1])
        self.part = None if match[2] is None else int(match[2])


class BroadcastFolder:
    """One broadcast. Its playlist is read again when it has changed."""

    def __init__(self, broadcast: str, folder: Path) -> None:
        self.broadcast = broadcast
        self._folder = folder
        self._seen: tuple[int, int] | None = None
        self.playlist = b""
        self.position: Position | None = None

    def is_key(self, key: str) -> bool:
        """Errors: `OSError` when there is no such broadcast (any more)."""
        own = _content(self._folder / KEY_FILE, _MAX_KEY_BYTES).decode("ascii").strip()
        # Releases before this one kept the key itself.
        return any(hmac.compare_digest(own, each) for each in (viewer_keys.kept(key), key))

    def look(self) -> bool:
        """Whether there is a playlist. Errors: `OSError` other than its absence."""
        path = self._folder / PLAYLIST_FILE
        try:
            found = path.lstat()
            seen = (found.st_ino, found.st_mtime_ns)
            if seen != self._seen:
                self.playlist = _content(path, _MAX_PLAYLIST_BYTES)
                self.position = position_of(self.playlist.decode("ascii", "replace"))
                self._seen = seen
        except FileNotFoundError:
            return False
        return True

    def read(self, part: Part) -> bytes | None:
        """None: there is no such file. Errors: `OSError`."""
        try:
            return _content(self._folder / part.name, _MAX_PART_BYTES)
        except FileNotFoundError:
            return None


def _content(path: Path, most_bytes: int) -> bytes:
    """What wrote it handled the bytes of participants: a link is not followed, and nobody waits for
    the other end of a pipe. Errors: `FileNotFoundError` also for what is no file, `OSError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as cause:
        if cause.errno in (errno.ELOOP, errno.ENXIO):
            raise FileNotFoundError(cause.errno, "no file of a broadcast") from cause
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "no file of a broadcast")
    with os.fdopen(descriptor, "rb") as file:
        return file.read(most_bytes)


class Folders:
    """All broadcasts below `root`, which has a folder for each, by id."""

    def __init__(self, root: Path, cache_bytes: int = CACHE_BYTES) -> None:
        self._root = root
        self._known: dict[str, BroadcastFolder] = {}
        self._cache: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._cached_bytes = 0
        self._cache_bytes = cache_bytes

    def find(self, broadcast: str, key: str) -> BroadcastFolder | None:
        """The broadcast, for who knows its key. Wrong names never reach the disk."""
        if not _is_id(broadcast) or _KEY.fullmatch(key) is None:
            return None
        found = self._known.get(broadcast) or BroadcastFolder(broadcast, self._root / broadcast)
        try:
            if not found.is_key(key):
                return None
        except (OSError, ValueError):
            self._known.pop(broadcast, None)
            return None
        self._known[broadcast] = found
        return found

    def forget_gone(self) -> set[str]:
        """Folders that were deleted take no memory any more; the others are returned."""
        for broadcast in [one for one in self._known if not (self._root / one).is_dir()]:
            del self._known[broadcast]
        return set(self._known)

    def content(self, folder: BroadcastFolder, part: Part) -> bytes | None:
        """Parts never change, so that what was read once is right. Errors: `OSError`."""
        key = (folder.broadcast, part.name)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        content = folder.read(part)
        if content is not None and part.segment is not None:
            self._keep(key, content)
        return content

    def _keep(self, key: tuple[str, str], content: bytes) -> None:
        self._cache[key] = content
        self._cached_bytes += len(content)
        while self._cached_bytes > self._cache_bytes:
            _, old = self._cache.popitem(last=False)
            self._cached_bytes -= len(old)


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
