"""What happened, on disk before anything is awaited: a killed process loses no event.

Events reach the outbox in a transaction, which takes time; a session does not wait for it. So
each event is first appended to a file, which costs one write to the page cache and outlives the
process (not the machine: it is not synced). Two files take turns: one collects while the events
of the other are on their way into the outbox. What a dead process left is taken over by the next
one that opens the folder; a lock on its files tells the dead from the living.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import structlog

from signaling.callbacks.presence import Presence, endings, line_of, still_open
from signaling.domain.callbacks import EVENT_NAMES, CallbackEvent

log = structlog.get_logger(__name__)

_LOCK = "lock"
_ENDINGS = (".0.jsonl", ".1.jsonl")
_OPEN = ".open.jsonl"
_OVER = ".over.jsonl"
"""The same file of a process that is known to be dead: what stands open there has ended."""


class Journal:
    """The files of one process. `leftovers` are the events of dead ones, oldest first, and the
    ends, dated `now_ms` (Unix), of what they took along.

    Owner: the recorder. Errors: `OSError` when the folder cannot be used.
    """

    def __init__(self, folder: Path, now_ms: int) -> None:
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
        """Reads what processes that live no more have left, and keeps it from others."""
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
            yield from _left_by(paths, over, now_ms)
            self._adopted += [*paths, over, presence.with_suffix(".new")]

    def write(self, happened: CallbackEvent) -> None:
        """Keeps an event. Errors: `OSError` when the disk does not take it."""
        line = line_of(self._count, happened)
        self._count += 1
        if os.write(self._files[self._active], line) != len(line):
            raise OSError("the disk is full")
        self._presence.record(happened, line)

    def turn(self) -> None:
        """From now on the other file collects. Call it once what was in that one is `done`."""
        self._active = 1 - self._active

    def done(self) -> None:
        """Everything written before the last turn, leftovers too, is safe elsewhere."""
        os.ftruncate(self._files[1 - self._active], 0)
        for path in self._adopted:
            path.unlink(missing_ok=True)
        for descriptor in self._adopted_locks:
            os.close(descriptor)
        self._adopted.clear()
        self._adopted_locks.clear()

    def close(self, *, empty: bool) -> None:
        """Files that hold nothing any more are removed; others wait for the next process."""
        for path, descriptor in zip(self._paths, self._files, strict=True):
            if empty:
                path.unlink(missing_ok=True)
            os.close(descriptor)
        self._presence.close(remove=empty)
        for descriptor in self._adopted_locks:
            os.close(descriptor)
        self._adopted_locks.clear()


def not_queued(folder: Path, now_ms: int) -> tuple[CallbackEvent, ...]:
    """What the journals of a folder hold for the outbox, those of living processes too: for
    whoever looks from outside. An event that is on its way may be in both by then.

    Errors: `OSError` when the folder cannot be read.
    """
    if not folder.exists():
        return ()
    with _locked(folder / _LOCK):
        return tuple(_all_not_queued(folder, now_ms))


def _all_not_queued(folder: Path, now_ms: int) -> Iterator[CallbackEvent]:
    for first in sorted(folder.glob(f"*{_ENDINGS[0]}"), key=_age):
        stem = first.name.removesuffix(_ENDINGS[0])
        paths = [first, folder / f"{stem}{_ENDINGS[1]}"]
        presence, over = folder / f"{stem}{_OPEN}", folder / f"{stem}{_OVER}"
        lock = _lock_of_dead(first)
        if lock is not None:
            os.close(lock)
        if lock is not None or over.exists():
            yield from _left_by(paths, presence if presence.exists() else over, now_ms)
        else:
            yield from _in_order(paths)


def _lock_of_dead(first: Path) -> int | None:
    """The lock on a journal whose process is gone, by its first file; None: it lives, or has just
    ended well. Asked while the folder is locked: no start takes a look for a life."""
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


def _left_by(paths: list[Path], presence: Path, now_ms: int) -> Iterator[CallbackEvent]:
    """What a dead process has not queued, and the ends of what it took along."""
    yield from _in_order(paths)
    # The last event may have reached one of the files alone.
    yield from endings(still_open(_in_order([presence, *paths])).values(), now_ms)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Held while files are found and made, so that no start adopts what another one makes."""
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
        return 0  # a process that ends well removes its files


def _in_order(paths: list[Path]) -> list[CallbackEvent]:
    lines = [line for path in paths for line in _lines(path)]
    return [happened for _, happened in sorted(lines, key=lambda line: line[0])]


def _lines(path: Path) -> Iterator[tuple[int, CallbackEvent]]:
    """The events of a file. A line cut short by a failing machine is left out, and said."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return
    for line in whole.splitlines():
        try:
            number, happened = _read(json.loads(line))
        except (ValueError, TypeError, KeyError):
            log.warning("a line of the callback journal cannot be read", bytes=len(line))
            continue
        yield number, happened


def _read(fields: dict[str, object]) -> tuple[int, CallbackEvent]:
    number, event, at_ms, details = (fields[name] for name in ("n", "event", "at_ms", "details"))
    if not isinstance(number, int) or not isinstance(at_ms, int) or not isinstance(details, dict):
        raise TypeError("not a line of a journal")
    known = next(name for name in EVENT_NAMES if name == event)
    names = (str(fields[name]) for name in ("id", "project_id", "session_id"))
    happened_id, project_id, session_id = names
    return number, CallbackEvent(happened_id, project_id, session_id, known, at_ms, details)
