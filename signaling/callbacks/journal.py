"""The journal of events: on disk before anything is awaited, so a killed process loses none.

Events reach the outbox in a transaction, which takes time; a session does not wait for it. So
each event is first appended to a file, which costs one write to the page cache and survives the
process (not the machine: the file is not synced). Two files alternate: one collects events while
those of the other are written to the outbox. The next process that opens the folder adopts the
files of a dead one; a lock on its files shows whether a process is alive.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import structlog

from signaling.callbacks.presence import Presence, endings, line_of, owner_of, still_open
from signaling.domain.callbacks import EVENT_NAMES, CallbackEvent
from signaling.domain.errors import Unavailable
from signaling.storage.wrapping import SecretWrapper

log = structlog.get_logger(__name__)

_LOCK = "lock"
_ENDINGS = (".0.jsonl", ".1.jsonl")
_OPEN = ".open.jsonl"
_OVER = ".over.jsonl"
"""The same file of a process that is known to be dead: everything open in it has ended."""


class Journal:
    """The files of one process, owned by the recorder. `leftovers` are the events of dead
    processes, oldest first, and the end events of their sessions, dated `now_ms` (Unix). `wrapper`:
    of the store, because events carry secrets as its rows do.

    Errors: `OSError` when the folder cannot be used.
    """

    def __init__(self, folder: Path, now_ms: int, wrapper: SecretWrapper) -> None:
        self._wrapper = wrapper
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._adopted: list[Path] = []
        self._adopted_locks: list[int] = []
        self._count = 0
        with _locked(folder / _LOCK):
            self.leftovers = tuple(self._adopt(folder, now_ms))
            name = secrets.token_hex(8)
            self._paths = [folder / f"{name}{ending}" for ending in _ENDINGS]
            self._files = [_create(path) for path in self._paths]
            self._presence = Presence(folder / f"{name}{_OPEN}")
        self._active = 0

    def _adopt(self, folder: Path, now_ms: int) -> Iterator[CallbackEvent]:
        """Reads the files of dead processes and locks them against other readers."""
        for first in sorted(folder.glob(f"*{_ENDINGS[0]}"), key=_age):
            descriptor = _lock_of_dead(first)
            if descriptor is None:
                continue
            self._adopted_locks.append(descriptor)
            stem = first.name.removesuffix(_ENDINGS[0])
            paths = [first, folder / f"{stem}{_ENDINGS[1]}"]
            presence, over = folder / f"{stem}{_OPEN}", folder / f"{stem}{_OVER}"
            if presence.exists():
                presence.replace(over)
            yield from _left_by(paths, over, now_ms, self._wrapper)
            self._adopted += [*paths, over, presence.with_suffix(".new")]

    def write(self, happened: CallbackEvent) -> None:
        """Appends an event. Errors: `OSError` when the write fails."""
        line = line_of(self._count, happened, self._wrapper)
        self._count += 1
        if os.write(self._files[self._active], line) != len(line):
            raise OSError("the disk is full")
        self._presence.record(happened, line)

    def has_open(self, project_id: str) -> bool:
        """Whether a later process would report an end for the project if this one died now."""
        return self._presence.has_open(project_id)

    def turn(self) -> None:
        """Switches to the other file. Call this only after `done` for its earlier content."""
        self._active = 1 - self._active

    def done(self) -> None:
        """Discards events from before the last `turn`, and the leftovers: the outbox has them."""
        os.ftruncate(self._files[1 - self._active], 0)
        for path in self._adopted:
            path.unlink(missing_ok=True)
        for descriptor in self._adopted_locks:
            os.close(descriptor)
        self._adopted.clear()
        self._adopted_locks.clear()

    def close(self, *, empty: bool) -> None:
        """Closes the files. `empty` files are removed; others stay for the next process."""
        for path, descriptor in zip(self._paths, self._files, strict=True):
            if empty:
                path.unlink(missing_ok=True)
            os.close(descriptor)
        self._presence.close(remove=empty)
        for descriptor in self._adopted_locks:
            os.close(descriptor)
        self._adopted_locks.clear()


def not_queued(folder: Path, now_ms: int, wrapper: SecretWrapper) -> tuple[CallbackEvent, ...]:
    """The events in a folder's journals that are not in the outbox yet, including those of living
    processes, for diagnosis. An event in transit may be in both.

    Errors: `OSError` when the folder cannot be read.
    """
    if not folder.exists():
        return ()
    with _locked(folder / _LOCK):
        return tuple(_all_not_queued(folder, now_ms, wrapper))


def _all_not_queued(folder: Path, now_ms: int, wrapper: SecretWrapper) -> Iterator[CallbackEvent]:
    for first in sorted(folder.glob(f"*{_ENDINGS[0]}"), key=_age):
        stem = first.name.removesuffix(_ENDINGS[0])
        paths = [first, folder / f"{stem}{_ENDINGS[1]}"]
        presence, over = folder / f"{stem}{_OPEN}", folder / f"{stem}{_OVER}"
        lock = _lock_of_dead(first)
        if lock is not None:
            os.close(lock)
        if lock is not None or over.exists():
            there = presence if presence.exists() else over
            yield from _left_by(paths, there, now_ms, wrapper)
        else:
            yield from _in_order(paths, wrapper)


def _lock_of_dead(first: Path) -> int | None:
    """The lock on the journal of a dead process, by its first file; None if the process is alive or
    has just ended cleanly. Called with the folder locked, so that a starting process does not take
    this lock for a living owner."""
    try:
        descriptor = os.open(first, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _left_by(
    paths: list[Path], presence: Path, now_ms: int, wrapper: SecretWrapper
) -> Iterator[CallbackEvent]:
    """The events that a dead process did not queue, and the end events of its sessions."""
    yield from _in_order(paths, wrapper)
    # The last event may be in only one of the files.
    everything = _in_order([presence, *paths], wrapper)
    yield from endings(still_open(everything).values(), now_ms)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Held while files are found and created, so that no process adopts files of a starting one."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _create(path: Path) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0  # a process that ends cleanly removes its files


def _in_order(paths: list[Path], wrapper: SecretWrapper) -> list[CallbackEvent]:
    lines = [line for path in paths for line in _lines(path, wrapper)]
    return [happened for _, happened in sorted(lines, key=lambda line: line[0])]


def _lines(path: Path, wrapper: SecretWrapper) -> Iterator[tuple[int, CallbackEvent]]:
    """The events of a file. A line that a machine failure truncated, or that no key of the wrapper
    opens, is skipped and logged."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return
    for line in whole.splitlines():
        try:
            number, happened = _read(json.loads(line), wrapper)
        except (ValueError, TypeError, KeyError, Unavailable):
            log.warning("a line of the callback journal cannot be read", bytes=len(line))
            continue
        yield number, happened


def _read(fields: dict[str, object], wrapper: SecretWrapper) -> tuple[int, CallbackEvent]:
    number, event, at_ms, details = (fields[name] for name in ("n", "event", "at_ms", "details"))
    if isinstance(details, str):  # releases before this one wrote them in clear
        details = json.loads(wrapper.unwrap(details, owner_of(str(fields["id"]))))
    if not isinstance(number, int) or not isinstance(at_ms, int) or not isinstance(details, dict):
        raise TypeError("not a line of a journal")
    known = next(name for name in EVENT_NAMES if name == event)
    names = (str(fields[name]) for name in ("id", "project_id", "session_id"))
    happened_id, project_id, session_id = names
    return number, CallbackEvent(happened_id, project_id, session_id, known, at_ms, details)
