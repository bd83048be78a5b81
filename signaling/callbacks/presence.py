"""Who is in which session, on disk: what ended with a killed process is told all the same.

A process that dies takes its sessions along without a word, and an application would believe for
ever that their clients are still there. Each event is therefore also appended to a file of its
process, which is rewritten when most of it is over. What stands open in the file of a dead process
has ended with it.
"""

import json
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from signaling.domain.callbacks import CallbackEvent
from signaling.domain.effects import EventName

_ENDS: dict[EventName, EventName] = {
    "streamCreated": "streamDestroyed",
    "connectionCreated": "connectionDestroyed",
    "sessionCreated": "sessionDestroyed",
}
_BEGINS = {end: begin for begin, end in _ENDS.items()}
_SLACK_LINES = 1_000
REASON = "networkDisconnected"

Subject = tuple[EventName, str, str]


def _subject(happened: CallbackEvent) -> Subject:
    """What began or ended: the event of its beginning, its session, its own id."""
    begin = _BEGINS.get(happened.event, happened.event)
    thing = happened.details.get("stream") or happened.details.get("connection")
    own = str(thing.get("id", "")) if isinstance(thing, dict) else ""
    return begin, happened.session_id, own


def still_open(events: Iterable[CallbackEvent]) -> dict[Subject, CallbackEvent]:
    """What has begun and not ended, in the order of its beginning."""
    begun: dict[Subject, CallbackEvent] = {}
    for happened in events:
        if happened.event in _ENDS:
            begun[_subject(happened)] = happened
        else:
            begun.pop(_subject(happened), None)
    return begun


def endings(begun: Iterable[CallbackEvent], now_ms: int) -> Iterator[CallbackEvent]:
    """The ends of what a process took along: streams first, then connections, then sessions."""
    found = list(begun)
    for begin, end in _ENDS.items():
        for happened in found:
            if happened.event == begin:
                details = dict(happened.details)
                if end != "sessionDestroyed":
                    details["reason"] = REASON
                # The same id however often it is worked out: the outbox takes it once.
                end_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"end of {happened.id}"))
                yield replace(happened, id=end_id, event=end, at_ms=now_ms, details=details)


class Presence:
    """The file of one living process. Owner: its journal. Errors: `OSError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[Subject, bytes] = {}
        self._lines = 0
        self._file = self._create(path)

    def _create(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)

    def record(self, happened: CallbackEvent, line: bytes) -> None:
        """Keeps an event; `line` is how the journal writes it."""
        if happened.event in _ENDS:
            self._open[_subject(happened)] = line
        else:
            self._open.pop(_subject(happened), None)
        os.write(self._file, line)
        self._lines += 1
        if self._lines > 2 * len(self._open) + _SLACK_LINES:
            self._rewrite()

    def _rewrite(self) -> None:
        """Whole or not at all: a kill in between leaves the old file. The lines are kept as they
        were written, so that ten thousand of them are rewritten in some milliseconds."""
        fresh = self._path.with_suffix(".new")
        file = self._create(fresh)
        lines = b"".join(self._open.values())
        if os.write(file, lines) != len(lines):
            os.close(file)
            raise OSError("the disk is full")
        fresh.replace(self._path)
        os.close(self._file)
        self._file, self._lines = file, len(self._open)

    def close(self, *, remove: bool) -> None:
        os.close(self._file)
        if remove:
            self._path.unlink(missing_ok=True)


def line_of(number: int, happened: CallbackEvent) -> bytes:
    """An event as one line of a file; `number` orders the lines of a process."""
    fields = {
        "n": number,
        "id": happened.id,
        "project_id": happened.project_id,
        "session_id": happened.session_id,
        "event": happened.event,
        "at_ms": happened.at_ms,
        "details": dict(happened.details),
    }
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
