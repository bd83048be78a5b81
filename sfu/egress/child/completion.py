"""From the files of a folder to the archive, after an orderly end and after a kill alike.

Every step leaves a folder from which it can be done again; the result is there when
`result.json` is.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from sfu.egress.child import names
from sfu.egress.child.archive_zip import write_zip
from sfu.egress.child.journal import read_journal
from sfu.egress.child.manifest import History, history_of, manifest, recorded_us
from sfu.egress.child.part import repair
from sfu.egress.control import NOT_JSON

_LOCK_POLL_S = 0.1
LOCK_S = 3_600.0
"""How long a process that lost its server may take to complete a large archive."""


class Result(Struct, frozen=True):
    size_bytes: int
    recorded_ms: int


@contextmanager
def locked(folder: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """The folder is ours alone: a process that lost its server may still complete its files.

    Errors: `OSError`."""
    until = time.monotonic() + LOCK_S
    descriptor = os.open(folder / names.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
                on_wait()
                time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)


RESERVE_BYTES = 67_108_864
"""What an archive leaves of a disk: the server's database may be there too."""


class Form(Protocol):
    """What an archive is when it is complete."""

    @property
    def file(self) -> str:
        """Its name."""

    def write(
        self,
        folder: Path,
        history: History,
        target: Path,
        on_progress: Callable[[], None],
        reserve_bytes: int,
    ) -> int | None:
        """Makes `target` of what is in the folder: the recorded microseconds. None: there is no
        frame in it. Errors: `OSError`."""


class Zip:
    """A file for each stream, and the manifest. Implements `Form`."""

    file = names.ARCHIVE

    def write(
        self,
        folder: Path,
        history: History,
        target: Path,
        on_progress: Callable[[], None],
        reserve_bytes: int,
    ) -> int | None:
        sizes = _indexed(folder, history, on_progress)
        if not sizes or history.began is None:
            return None
        check_room(folder, sum(sizes.values()) + reserve_bytes)
        write_zip(
            target,
            (names.manifest_name(history.began.archive), manifest(history, sizes)),
            [folder / name for name in sizes],
            history.began.created_unix_ms,
            on_progress,
        )
        return recorded_us(history)


ZIP = Zip()


def complete(
    folder: Path,
    on_progress: Callable[[], None] = lambda: None,
    reserve_bytes: int = RESERVE_BYTES,
    form: Form = ZIP,
) -> Result | None:
    """Makes the archive of what is in the folder. None: there is no frame in it.

    Errors: `OSError`; the files stay, and this can be called again.
    """
    if (finished := _finished(folder, form)) is not None:
        _remove_all_but_archive(folder, form, on_progress)
        return finished
    history = history_of(read_journal(folder))
    if history.began is None:
        return None
    unfinished = folder / (form.file + names.UNFINISHED)
    unfinished.unlink(missing_ok=True)
    try:
        recorded = form.write(folder, history, unfinished, on_progress, reserve_bytes)
    except OSError:
        unfinished.unlink(missing_ok=True)  # room for what else is written
        raise
    if recorded is None:
        return None
    result = Result(unfinished.stat().st_size, recorded // 1000)
    unfinished.replace(folder / form.file)
    _store(folder, result)
    _remove_all_but_archive(folder, form, on_progress)
    return result


def check_room(folder: Path, needed_bytes: int) -> None:
    """Nobody else's writes fail because this one was begun in vain."""
    there = os.statvfs(folder)
    if there.f_bavail * there.f_frsize < needed_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _indexed(folder: Path, history: History, on_progress: Callable[[], None]) -> dict[str, int]:
    """Sizes of the files that have media; those of killed processes get their index."""
    sizes = {}
    for name, part in history.parts.items():
        path = folder / name
        if not path.is_file():
            continue
        if part.stop_us is None:
            end_us = repair(path, on_progress)
            if end_us is None:
                continue
            part.stop_us = part.start_us + end_us
        sizes[name] = path.stat().st_size
        on_progress()
    return sizes


def _finished(folder: Path, form: Form) -> Result | None:
    try:
        result = msgspec.json.decode((folder / names.RESULT).read_bytes(), type=Result)
        if (folder / form.file).stat().st_size == result.size_bytes:
            return result
    except (FileNotFoundError, *NOT_JSON):
        pass
    return None


def _store(folder: Path, result: Result) -> None:
    unfinished = folder / (names.RESULT + names.UNFINISHED)
    with unfinished.open("wb") as opened:
        opened.write(msgspec.json.encode(result))
        opened.flush()
        os.fsync(opened.fileno())
    unfinished.replace(folder / names.RESULT)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_all_but_archive(folder: Path, form: Form, on_progress: Callable[[], None]) -> None:
    """Room: the archive has everything. What cannot be removed does no harm."""
    kept = {form.file, names.RESULT, names.LOCK}
    for path in folder.iterdir():
        if path.name not in kept and path.is_file():
            with suppress(OSError):
                path.unlink()
            on_progress()
