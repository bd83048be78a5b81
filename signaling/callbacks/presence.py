"""The open sessions, connections and streams on disk, so that their end is reported after a kill.

Without it, an application would believe forever that the clients of a killed process are still
connected. Each event is therefore also appended to a file of its process, which is compacted when
most of its entries have ended. Everything open in the file of a dead process has ended with it.
"""

import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from signaling.domain.callbacks import CallbackEvent
from signaling.domain.effects import EventName
from signaling.storage.wrapping import SecretWrapper

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
    """The subject of an event: the event that began it, its session and its own id."""
    begin = _BEGINS.get(happened.event, happened.event)
    thing = happened.details.get("stream") or happened.details.get("connection")
    own = str(thing.get("id", "")) if isinstance(thing, dict) else ""
    return begin, happened.session_id, own


def still_open(events: Iterable[CallbackEvent]) -> dict[Subject, CallbackEvent]:
    """The events whose subject has begun and not ended, in order."""
    begun: dict[Subject, CallbackEvent] = {}
    for happened in events:
        if happened.event in _ENDS:
            begun[_subject(happened)] = happened
        else:
            begun.pop(_subject(happened), None)
    return begun


def endings(begun: Iterable[CallbackEvent], now_ms: int) -> Iterator[CallbackEvent]:
    """End events for a dead process: streams first, then connections, then sessions."""
    found = list(begun)
    for begin, end in _ENDS.items():
        for happened in found:
            if happened.event == begin:
                details = dict(happened.details)
                if end != "sessionDestroyed":
                    details["reason"] = REASON
                # A deterministic id, so that the outbox stores the event once.
                end_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"end of {happened.id}"))
                yield replace(happened, id=end_id, event=end, at_ms=now_ms, details=details)


class Presence:
    """The file of one living process, owned by its journal. Errors: `OSError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[Subject, bytes] = {}
        self._open_in: Counter[str] = Counter()
        self._lines = 0
        self._file = self._create(path)

    def _create(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)

    def record(self, happened: CallbackEvent, line: bytes) -> None:
        """Records an event; `line` is its line in the journal."""
        subject, project = _subject(happened), happened.project_id
        if happened.event in _ENDS:
            self._open_in[project] += subject not in self._open
            self._open[subject] = line
        elif self._open.pop(subject, None) is not None:
            self._open_in[project] -= 1
            if not self._open_in[project]:
                del self._open_in[project]
        os.write(self._file, line)
        self._lines += 1
        if self._lines > 2 * len(self._open) + _SLACK_LINES:
            self._rewrite()

    def has_open(self, project_id: str) -> bool:
        """Whether anything of the project was recorded that has not ended."""
        return project_id in self._open_in

    def _rewrite(self) -> None:
        """Compacts the file atomically: a kill leaves the old file. The lines are kept encoded, so
        that ten thousand of them are rewritten in a few milliseconds."""
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


def line_of(number: int, happened: CallbackEvent, wrapper: SecretWrapper) -> bytes:
    """An event as one line of a file; `number` orders the lines of a process. Details are wrapped:
    those of broadcasts have keys of playlists and names of streams, those of connections what
    applications say of people."""
    details = json.dumps(dict(happened.details), separators=(",", ":"))
    fields = {
        "n": number,
        "id": happened.id,
        "project_id": happened.project_id,
        "session_id": happened.session_id,
        "event": happened.event,
        "at_ms": happened.at_ms,
        "details": wrapper.wrap(details, owner_of(happened.id)),
    }
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def owner_of(event_id: str) -> str:
    """What is authenticated with the details of an event."""
    return f"event {event_id}"
