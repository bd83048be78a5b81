"""An archive with a file for each stream: what comes from the tap goes to the stream's recorder.

Not transcoded: frames are written as they came. The shell of the process calls it with items of
the reader and with times; nothing here reads a clock.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from sfu.egress.child import names
from sfu.egress.child.events import (
    Came,
    Classes,
    ClassesChanged,
    Entry,
    Left,
    Muted,
    Opened,
    Recording,
    StreamAdded,
    StreamRemoved,
    TapEvent,
    TrackMuted,
)
from sfu.egress.child.frames import Frame, frame_of
from sfu.egress.child.journal import Journal
from sfu.egress.child.manifest import History
from sfu.egress.child.stream_recorder import StreamRecorder
from sfu.egress.composition import Layout
from sfu.egress.control import NOT_JSON, IgnoredReason, OutputLine

PLAUSIBLE_US = 60_000_000
"""A frame is of about now: a file of years would be the work of a single one."""
MAX_STREAMS = 400
"""Open files of one process; each stream has one, for a moment two."""
MAX_PARTS = 1_000
"""Files of one archive. Whoever publishes again and again makes one each time."""
MAX_ADDED = 10_000
"""Streams that came, also those that sent nothing: each is in the journal."""


class IndividualArchive:
    """`history` is what earlier processes of the same job left in the journal; `beat` is called
    after each file that had to wait for the disk."""

    is_behind = is_full = False

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        history: History,
        hold_ms: int,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        if history.began is None:
            raise ValueError("the journal must name the job first")
        self._folder = folder
        self._journal = journal
        self._timeline = history.timeline
        self._created_unix_ms = history.began.created_unix_ms
        self._hold_us = hold_ms * 1000
        self._beat = beat
        self._added = 0
        self._names = set(history.parts)
        self._muted = {key for key in history.muted if history.is_muted(*key)}
        self._recorded_before = {part.stream for part in history.parts.values()}
        self._streams: dict[str, StreamRecorder] = {}
        self._by_ssrc: dict[int, StreamRecorder] = {}
        self._first_us: int | None = min(
            (part.start_us for part in history.parts.values()), default=None
        )
        self._last_us = self._first_us or 0
        self._ignored: Counter[IgnoredReason] = Counter()

    @property
    def first_us(self) -> int | None:
        """When the first frame was written, in archive time."""
        return self._first_us

    @property
    def recorded_ms(self) -> int:
        return 0 if self._first_us is None else max(0, self._last_us - self._first_us) // 1000

    @property
    def size_bytes(self) -> int:
        return sum(_size(self._folder / name) for name in self._names)

    @property
    def ignored(self) -> Counter[IgnoredReason]:
        """What was not recorded."""
        return sum((one.refused for one in self._streams.values()), self._ignored)

    @property
    def present(self) -> frozenset[str]:
        return frozenset(self._streams)

    def restore(self, added: dict[str, Any], host_us: int) -> bool:
        """A stream that was added before this process was there. False if it makes no sense."""
        try:
            event = msgspec.convert(added, StreamAdded)
        except msgspec.ValidationError:
            self._ignored["malformed_event"] += 1
            return False
        self._handle_added(event, added, host_us, after_restart=True)
        return True

    def handle_item(self, item: tuple[Any, ...], host_us: int) -> None:
        """One item of the reader, read at that time. Errors: `OSError` of the disk."""
        match item:
            case ("frame", *_):
                frame = frame_of(item)
                if abs(frame.pts_us - host_us) > PLAUSIBLE_US:
                    self._ignored["implausible_time"] += 1
                else:
                    self._handle_frame(frame)
            case ("lost", ssrc, _packets, from_us, to_us, *reason):
                self._handle_loss(ssrc, from_us, to_us, *reason)
            case ("json", arrival_us, body):
                self._handle_json(body, arrival_us)
            case _:
                self._ignored["unknown_item"] += 1

    def pause(self, host_us: int) -> None:
        if not self._timeline.paused:
            self._timeline.pause(host_us)
            self._write(Recording(on=False, host_us=host_us))

    def resume(self, host_us: int) -> list[int]:
        """Returns the video tracks that need a key frame."""
        if not self._timeline.paused:
            return []
        self._timeline.resume(host_us)
        self._write(Recording(on=True, host_us=host_us))
        for one in self._streams.values():
            one.need_key_frames()
        return [ssrc for one in self._streams.values() for ssrc in one.video_ssrcs]

    def set_layout(self, layout: Layout, host_us: int) -> None:
        """Files of single streams have no layout."""

    def take_reports(self) -> list[OutputLine]:
        """A file is all there is."""
        return []

    def take_wanted_key_frames(self) -> list[int]:
        """What a file lacks is asked for by the reader of the tap."""
        return []

    def handle_time(self, host_us: int) -> None:
        at_us = self._timeline.reached(host_us - self._hold_us)
        for one in self._streams.values():
            one.handle_time(at_us)
        # Streams that are muted are recorded too: time goes on without a frame.
        if self._streams and self._first_us is not None and not self._timeline.paused:
            self._last_us = max(self._last_us, at_us)

    def sync(self) -> None:
        """To the disk: what a machine that loses its power still has."""
        for one in self._streams.values():
            one.sync()
            self._beat()
        self._journal.sync()

    def close(self) -> None:
        for stream in list(self._streams):
            self._end(stream)

    def abandon(self) -> None:
        """Closes what still can be closed: the disk is full or broken."""
        for stream in list(self._streams):
            with suppress(OSError):
                self._end(stream)

    # --- items ---------------------------------------------------------------------------

    def _handle_frame(self, frame: Frame) -> None:
        recorder = self._by_ssrc.get(frame.ssrc)
        if recorder is None:
            self._ignored["unknown_track"] += 1
            return
        at_us = self._timeline.place(frame.pts_us)
        if at_us is None:
            self._ignored["paused"] += 1
            recorder.need_key_frames()
            return
        recorder.handle_frame(frame, at_us)
        if self._first_us is not None:
            self._last_us = max(self._last_us, at_us + max(0, frame.duration_us))

    def _handle_loss(self, ssrc: int, from_us: int, to_us: int, reason: str = "network") -> None:
        recorder = self._by_ssrc.get(ssrc)
        if recorder is not None:
            first_us, last_us = self._timeline.reached(from_us), self._timeline.reached(to_us)
            recorder.handle_loss(first_us, last_us, reason)

    def _handle_json(self, body: bytes, arrival_us: int) -> None:
        try:
            event = msgspec.json.decode(body, type=TapEvent)
            raw = msgspec.json.decode(body)
        except NOT_JSON:
            self._ignored["malformed_event"] += 1
            return
        at_us = self._timeline.reached(arrival_us)
        match event:
            case StreamAdded():
                self._handle_added(event, raw, arrival_us)
            case StreamRemoved():
                self._end(event.stream)
            case TrackMuted():
                self._handle_muted(event, at_us)
            case ClassesChanged():
                since_ms = (arrival_us - self._timeline.origin_us) // 1000
                unix_ms = self._created_unix_ms + max(0, since_ms)
                classes = event.layout_class_list
                self._write(Classes(event.stream, classes, at_us, unix_ms))

    def _handle_added(
        self, event: StreamAdded, raw: dict[str, Any], host_us: int, *, after_restart: bool = False
    ) -> None:
        there = self._streams.get(event.stream)
        if there is not None and there.ssrcs == {track.ssrc for track in event.tracks}:
            return  # said by the journal and by the tap
        self._end(event.stream)
        self._added += 1
        if len(self._streams) >= MAX_STREAMS or self._added > MAX_ADDED:
            self._ignored["too_many_streams"] += 1
            return
        self._write(Came(self._timeline.reached(host_us), raw))
        recorder = StreamRecorder(
            event,
            self._name_file,
            self._write,
            has_room=self._has_room,
            after_restart=after_restart and event.stream in self._recorded_before,
        )
        for stream, kind in self._muted:
            if stream == event.stream:
                recorder.set_muted(kind, muted=True)
        self._streams[event.stream] = recorder
        self._by_ssrc |= dict.fromkeys(recorder.ssrcs, recorder)

    def _handle_muted(self, event: TrackMuted, at_us: int) -> None:
        key = (event.stream, event.kind)
        (self._muted.add if event.muted else self._muted.discard)(key)
        if recorder := self._streams.get(event.stream):
            recorder.set_muted(event.kind, muted=event.muted)
        self._write(Muted(event.stream, event.kind, event.muted, at_us))

    def _end(self, stream: str) -> None:
        recorder = self._streams.pop(stream, None)
        if recorder is None:
            return
        for ssrc in recorder.ssrcs:
            self._by_ssrc.pop(ssrc, None)
        recorder.close()
        self._beat()
        self._ignored += recorder.refused
        for _, kind in [key for key in self._muted if key[0] == stream]:
            # Added again, it says by itself what is muted.
            self._handle_muted(TrackMuted(stream, kind, muted=False), self._last_us)
        self._write(Left(stream))

    def _has_room(self) -> bool:
        return len(self._names) < MAX_PARTS

    def _name_file(self, stream: str, video_codec: str | None) -> Path:
        name = names.part_name(stream, video_codec, self._names)
        self._names.add(name)
        return self._folder / name

    def _write(self, entry: Entry) -> None:
        if isinstance(entry, Opened) and self._first_us is None:
            self._first_us = entry.start_us
        self._journal.write(entry)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
