"""The data folder: private to its owner where possible, and used by one server at a time.

A volume often belongs to another user: to root, or to the user of an earlier start, with a group
that may write (`fsGroup` in Kubernetes). A process that can read and write it can serve from it.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from signaling.domain.errors import ErrorCode, Unavailable

DATABASE = "sealroute.sqlite3"
LOCK = "serving.lock"
KEY_FILE = "sealing.key"
# The access that the process needs to each file. A key may be mounted read-only.
_NEEDED_ACCESS = {
    DATABASE: os.R_OK | os.W_OK,
    f"{DATABASE}-wal": os.R_OK | os.W_OK,
    f"{DATABASE}-shm": os.R_OK | os.W_OK,
    KEY_FILE: os.R_OK,
}
_MAX_NOTE_BYTES = 1_024


class FolderUnusable(Unavailable):
    """The data folder cannot be used; `advice` says how to fix it."""

    def __init__(self, problem: str, advice: str) -> None:
        self.problem, self.advice = problem, advice
        super().__init__(ErrorCode.STORAGE_UNAVAILABLE, f"{problem}. {advice}")


class FolderEmpty(FolderUnusable):
    """No server and no command has written to the data folder."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(
            f"There is no database in {data_dir.absolute()}",
            "Name the server's data folder with --data-dir or SEALROUTE_DATA_DIR.",
        )


def require_data(data_dir: Path) -> None:
    """Errors: `FolderEmpty`. A folder that cannot be read may have data."""
    with contextlib.suppress(PermissionError):
        if not (data_dir / DATABASE).exists():
            raise FolderEmpty(data_dir)


def prepare(data_dir: Path) -> None:
    """Creates the folder and the database file, accessible to the owner only where possible.

    Errors: `FolderUnusable`.
    """
    with _explained(data_dir, data_dir):
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _for_the_owner(data_dir, 0o700)
        _permitted(data_dir, os.R_OK | os.W_OK | os.X_OK)
    with _explained(data_dir / DATABASE, data_dir):
        # SQLite creates the WAL and its index with the mode of the database.
        os.close(os.open(data_dir / DATABASE, os.O_RDWR | os.O_CREAT, 0o600))
    for name, needed in _NEEDED_ACCESS.items():
        path = data_dir / name
        with _explained(path, data_dir):
            if path.exists():
                _for_the_owner(path, 0o600)
                _permitted(path, needed)


def _permitted(path: Path, needed: int) -> None:
    if not os.access(path, needed, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def can_be_made(data_dir: Path) -> None:
    """Checks that a missing folder can be created, and leaves nothing behind.

    Errors: `FolderUnusable`.
    """
    made: list[Path] = []
    try:
        with _explained(data_dir, data_dir):
            _make(data_dir, made)
    finally:
        _remove_empty(made)


@contextlib.contextmanager
def made_for(data_dir: Path) -> Iterator[None]:
    """Creates the folder where it is missing; if the block fails, it is gone again.

    Errors: `OSError`.
    """
    made: list[Path] = []
    try:
        _make(data_dir, made)
        yield
    except BaseException:
        _remove_empty(made)
        raise


def _make(data_dir: Path, made: list[Path]) -> None:
    own = data_dir.absolute()
    for path in [*reversed(own.parents), own]:
        if not path.exists():
            path.mkdir(mode=0o700 if path == own else 0o777)
            made.append(path)


def _remove_empty(made: list[Path]) -> None:
    for path in reversed(made):
        with contextlib.suppress(OSError):
            path.rmdir()


@contextlib.contextmanager
def served(data_dir: Path) -> Iterator[None]:
    """Locks the folder against other servers inside the block; the kernel releases the lock when
    the process ends.

    Errors: `FolderUnusable`, also when another server holds the lock.
    """
    path = data_dir / LOCK
    with _explained(path, data_dir):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderUnusable(
                f"Another server{_noted(descriptor)} already serves {data_dir}",
                "Stop it, give this one a data folder of its own, or use PostgreSQL"
                " (storage.url) for several nodes.",
            ) from None
        note = json.dumps({"process": os.getpid(), "host": socket.gethostname()})
        with _explained(path, data_dir):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, note.encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _noted(descriptor: int) -> str:
    """The process that holds the lock, if it wrote a note."""
    try:
        note = json.loads(os.pread(descriptor, _MAX_NOTE_BYTES, 0))
        return f" (process {int(note['process'])} on {note['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _for_the_owner(path: Path, mode: int) -> None:
    """Sets the mode if the process owns the file; otherwise it cannot, and need not."""
    if path.stat().st_mode & 0o7777 != mode:
        with contextlib.suppress(PermissionError):
            path.chmod(mode)


@contextlib.contextmanager
def _explained(path: Path, data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        reason = cause.strerror or type(cause).__name__
        raise FolderUnusable(
            f"{path} cannot be used: {reason}", _advice(cause, data_dir)
        ) from cause


def _advice(cause: OSError, data_dir: Path) -> str:
    if cause.errno in (errno.EACCES, errno.EPERM):
        user = os.geteuid()
        if user == 0:
            return (
                "The file system does not allow it, not even to root: name another folder with"
                " --data-dir."
            )
        return (
            f"This process is user {user}: run `chown -R {user} {data_dir}`, or run it as the user"
            " whose files they are (Kubernetes: fsGroup)."
        )
    return _ADVICE.get(cause.errno or 0, "Name another folder with storage.data_dir.")


_ADVICE = {
    errno.EROFS: "Mount a writable volume there.",
    errno.ENOSPC: "Free space on the disk.",
    errno.EDQUOT: "Free space in the quota.",
    errno.ENOLCK: "Use a file system with locks: SQLite needs them, too.",
}
