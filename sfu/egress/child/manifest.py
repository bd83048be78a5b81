"""The manifest of an archive, made of its journal; pure.

Offsets are milliseconds on the archive's one clock, for every stream: a reader that only overlays
files by their offsets is in sync.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sfu.egress.child.events import (
    Began,
    Came,
    Classes,
    Closed,
    Entry,
    Gap,
    Left,
    Muted,
    Opened,
    Recording,
    Rotated,
    StreamAdded,
)
from sfu.egress.child.timeline import Timeline

RECORDER = "recorder"
"""The reason of a gap that a restart of the recording process left."""


@dataclass(slots=True)
class PartRecord:
    """One file as the journal knows it."""

    file: str
    added: StreamAdded
    classes: list[str]
    start_us: int
    after_restart: bool
    stop_us: int | None = None
    gaps: list[Gap] = field(default_factory=list)
    rotations: list[Rotated] = field(default_factory=list)

    @property
    def stream(self) -> str:
        return self.added.stream


@dataclass(slots=True)
class History:
    """Everything that a journal says."""

    began: Began | None = None
    present: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, PartRecord] = field(default_factory=dict)
    timeline: Timeline = field(default_factory=lambda: Timeline(0))
    muted: dict[tuple[str, str], list[tuple[int, int | None]]] = field(default_factory=dict)
    layout_events: list[Classes] = field(default_factory=list)
    _added: dict[str, StreamAdded] = field(default_factory=dict)
    _classes: dict[str, list[str]] = field(default_factory=dict)

    def apply(self, entry: Entry) -> None:
        _APPLY[type(entry)](self, entry)

    def is_muted(self, stream: str, kind: str) -> bool:
        intervals = self.muted.get((stream, kind), [])
        return bool(intervals) and intervals[-1][1] is None

    def classes_of(self, stream: str) -> list[str] | None:
        """The layout classes that it has now; None if the journal does not know it."""
        return self._classes.get(stream)

    def _began(self, entry: Began) -> None:
        if self.began is None:
            self.began = entry
            self.timeline = Timeline(entry.origin_us)

    def _came(self, entry: Came) -> None:
        added = msgspec.convert(entry.added, StreamAdded)
        self.present[added.stream] = entry.added
        self._added[added.stream] = added
        self._classes[added.stream] = added.layout_class_list

    def _left(self, entry: Left) -> None:
        self.present.pop(entry.stream, None)

    def _opened(self, entry: Opened) -> None:
        added = self._added.get(entry.stream) or StreamAdded(entry.stream, [])
        self.parts[entry.file] = PartRecord(
            entry.file,
            added,
            self._classes.get(entry.stream, []),
            entry.start_us,
            entry.after_restart,
        )

    def _closed(self, entry: Closed) -> None:
        if part := self.parts.get(entry.file):
            part.stop_us = entry.stop_us

    def _gap(self, entry: Gap) -> None:
        if part := self.parts.get(entry.file):
            part.gaps.append(entry)

    def _rotated(self, entry: Rotated) -> None:
        if part := self.parts.get(entry.file):
            part.rotations.append(entry)

    def _muted(self, entry: Muted) -> None:
        intervals = self.muted.setdefault((entry.stream, entry.kind), [])
        is_open = bool(intervals) and intervals[-1][1] is None
        if entry.muted and not is_open:
            intervals.append((entry.at_us, None))
        elif not entry.muted and is_open:
            intervals[-1] = (intervals[-1][0], entry.at_us)

    def _classes_changed(self, entry: Classes) -> None:
        self._classes[entry.stream] = entry.classes
        self.layout_events.append(entry)

    def _recording(self, entry: Recording) -> None:
        if entry.on:
            self.timeline.resume(entry.host_us)
        else:
            self.timeline.pause(entry.host_us)


_APPLY: dict[type, Callable[[History, Any], None]] = {
    Began: History._began,  # noqa: SLF001 - the table of this class
    Came: History._came,  # noqa: SLF001
    Left: History._left,  # noqa: SLF001
    Opened: History._opened,  # noqa: SLF001
    Closed: History._closed,  # noqa: SLF001
    Gap: History._gap,  # noqa: SLF001
    Muted: History._muted,  # noqa: SLF001
    Classes: History._classes_changed,  # noqa: SLF001
    Rotated: History._rotated,  # noqa: SLF001
    Recording: History._recording,  # noqa: SLF001
}


def history_of(entries: Iterable[Entry]) -> History:
    history = History()
    for entry in entries:
        history.apply(entry)
    return history


def recorded_us(history: History) -> int:
    """From the first frame to the last one; paused time is not on the archive's clock."""
    stops = [part.stop_us for part in history.parts.values() if part.stop_us is not None]
    starts = [part.start_us for part in history.parts.values() if part.stop_us is not None]
    return max(0, max(stops) - min(starts)) if stops else 0


def manifest(history: History, sizes: Mapping[str, int]) -> dict[str, Any]:
    """The manifest's members. A file without a size or an end is not in the archive."""
    began = history.began
    if began is None:
        raise ValueError("the journal does not say what was recorded")
    kept = [
        part for part in history.parts.values() if part.file in sizes and part.stop_us is not None
    ]
    return {
        "id": began.archive,
        "name": began.name,
        "sessionId": began.session,
        "createdAt": began.created_unix_ms,
        "files": [_file(history, part, sizes[part.file]) for part in kept],
        "layoutEvents": [
            {
                "createdAt": event.unix_ms,
                "action": "streamChanged",
                "stream": {"id": event.stream, "layoutClassList": event.classes},
            }
            for event in history.layout_events
        ],
    }


def _file(history: History, part: PartRecord, size: int) -> dict[str, Any]:
    stop_us = part.start_us if part.stop_us is None else part.stop_us
    described = {
        "streamId": part.stream,
        "filename": part.file,
        "connectionData": part.added.connection_data,
        "name": part.added.name,
        "size": size,
        "layoutClassList": part.classes,
        "startTimeOffset": _as_ms(part.start_us),
        "stopTimeOffset": _as_ms(stop_us),
        "gaps": _gaps(history, part),
        "muted": _muted_within(history, part, stop_us),
    }
    if part.added.video_type:
        described["videoType"] = part.added.video_type
    if part.rotations:
        described["rotations"] = [[_as_ms(one.at_us), one.degrees] for one in part.rotations]
    return described


def _gaps(history: History, part: PartRecord) -> list[list[Any]]:
    gaps = [[_as_ms(gap.from_us), _as_ms(gap.to_us), gap.reason] for gap in part.gaps]
    if part.after_restart:
        before = [
            other.stop_us
            for other in history.parts.values()
            if other.stream == part.stream
            and other.stop_us is not None
            and other.start_us < part.start_us
        ]
        if before:
            gaps.insert(
                0, [_as_ms(min(max(before), part.start_us)), _as_ms(part.start_us), RECORDER]
            )
    return gaps


def _muted_within(history: History, part: PartRecord, stop_us: int) -> list[list[Any]]:
    found: list[list[Any]] = []
    for kind in ("audio", "video"):
        for begin, end in history.muted.get((part.stream, kind), ()):
            first, last = max(begin, part.start_us), min(stop_us if end is None else end, stop_us)
            if first < last:
                found.append([kind, _as_ms(first), _as_ms(last)])
    return found


def _as_ms(us: int) -> int:
    """Never negative: the first packets may be a little older than the archive."""
    return max(0, (us + 500) // 1000)
