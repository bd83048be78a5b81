"""An archive in one file: what comes from the tap goes to the composer, and what that makes into an
MP4.

The composer follows the archive's clock some hundred milliseconds behind, so that what is late is
here. On a slow machine it is further behind, and no image is left out. Each process writes a part;
the one that follows a killed process goes on at the image up to which that part can be read.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from sfu.egress.child import names
from sfu.egress.child.encoded import Encoded, Output
from sfu.egress.child.events import (
    Came,
    Classes,
    ClassesChanged,
    Closed,
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
from sfu.egress.child.plan import FPS, tick_us, ticks_until
from sfu.egress.composer.composer import Composer
from sfu.egress.composer.encode import Encoders
from sfu.egress.composer.mp4 import Mp4Part, extent_of
from sfu.egress.composition import Composition, Layout
from sfu.egress.control import NOT_JSON, IgnoredReason, OutputLine

DELAY_US = 100_000
"""How far the composer is behind what a reader of the tap has: the way of a frame to it varies."""
PLAUSIBLE_US = 60_000_000
"""A frame is of about now."""
MAX_STREAMS = 400
MAX_ADDED = 10_000
TICKS_AT_ONCE = 5
"""Then the tap is read again: it holds seconds, not minutes."""
BEHIND_US = 120_000_000
BEHIND_BYTES = 134_217_728
"""Where a machine is so far behind, every second image is the one before: that costs less."""
FULL_BYTES = 268_435_456
"""More is not taken from the tap, which then drops video up to the next key frames."""


class Part(Output, Protocol):
    """What one process writes."""

    def sync(self) -> None:
        """To the disk. Errors: `OSError`."""


@dataclass(frozen=True, slots=True)
class ComposedJob:
    """`encoders` are fresh: those of another process are not gone on with."""

    hold_ms: int
    composition: Composition
    encoders: Encoders


class ComposedArchive:
    """`history` is what earlier processes of the same job left in the journal; `beat` is called
    after each image of a long row."""

    slow_us = BEHIND_US

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        history: History,
        job: ComposedJob,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        if history.began is None:
            raise ValueError("the journal must name the job first")
        self._folder = folder
        self._journal = journal
        self._history = history
        self._timeline = history.timeline
        self._delay_us = job.hold_ms * 1000 + DELAY_US
        self._created_unix_ms = history.began.created_unix_ms
        self._encoders = job.encoders
        self._beat = beat
        self._number = len(history.parts) + 1
        self._first_us = min((part.start_us for part in history.parts.values()), default=None)
        self._first_tick = self._ticks_before(folder, history)
        self._composer = Composer(job.composition, job.encoders, self._first_tick)
        self._part: Part | None = None
        self._last_us = 0
        self._present: set[str] = set()
        self._added = 0
        self._ignored: Counter[IgnoredReason] = Counter()
        self.is_behind = False

    def _ticks_before(self, folder: Path, history: History) -> int:
        """How many images earlier processes made, as far as they can be read."""
        if not history.parts or self._first_us is None:
            return 0
        last = max(history.parts.values(), key=lambda part: part.start_us)
        start = ticks_of(last.start_us - self._first_us)
        return start + extent_of(folder / last.file, self._beat).whole_ticks

    # --- what it is asked --------------------------------------------------------------------

    @property
    def first_us(self) -> int | None:
        """When the first frame came, in archive time: there the file begins."""
        return self._first_us

    @property
    def recorded_ms(self) -> int:
        return self._composer.next_tick * 1000 // FPS

    @property
    def size_bytes(self) -> int:
        parts = [self._folder / names.composed_part_name(one + 1) for one in range(self._number)]
        return sum(path.stat().st_size for path in parts if path.exists())

    @property
    def ignored(self) -> Counter[IgnoredReason]:
        """What was not recorded."""
        return self._ignored + self._composer.ignored

    @property
    def is_full(self) -> bool:
        """No more is to be read until it has caught up."""
        return self._composer.waiting_bytes > FULL_BYTES

    def take_reports(self) -> list[OutputLine]:
        """A file is all there is."""
        return []

    def take_wanted_key_frames(self) -> list[int]:
        return self._composer.take_wanted_key_frames()

    # --- what happens ------------------------------------------------------------------------

    def restore(self, added: dict[str, Any], host_us: int) -> bool:
        """A stream that was added before this process was there. False if it makes no sense."""
        try:
            event = msgspec.convert(added, StreamAdded)
        except msgspec.ValidationError:
            self._ignored["malformed_event"] += 1
            return False
        classes = self._history.classes_of(event.stream)
        self._handle_added(event, added, host_us, classes)
        for kind in ("audio", "video"):
            if self._history.is_muted(event.stream, kind):
                self._composer.set_muted(event.stream, kind, self._reached(host_us), muted=True)
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
            case ("lost", *_):
                pass  # what is missing is silence, or the frame before it
            case ("json", arrival_us, body):
                self._handle_json(body, arrival_us)
            case _:
                self._ignored["unknown_item"] += 1

    def set_layout(self, layout: Layout, host_us: int) -> None:
        self._composer.set_layout(layout, self._reached(host_us))

    def pause(self, host_us: int) -> None:
        if not self._timeline.paused:
            self._timeline.pause(host_us)
            self._journal.write(Recording(on=False, host_us=host_us))

    def resume(self, host_us: int) -> list[int]:
        """Returns the video tracks that need a key frame."""
        if not self._timeline.paused:
            return []
        self._timeline.resume(host_us)
        self._journal.write(Recording(on=True, host_us=host_us))
        return self._composer.skip(self._reached(host_us))

    def handle_time(self, host_us: int) -> None:
        """Makes the images that are due, some at a time. Errors: `OSError` of the disk."""
        if self._first_us is None:
            return
        due = ticks_until(self._timeline.reached(host_us - self._delay_us) - self._first_us)
        behind = due - self._composer.next_tick
        is_slow = (
            tick_us(max(0, behind)) > self.slow_us or self._composer.waiting_bytes > BEHIND_BYTES
        )
        for _ in range(min(behind, TICKS_AT_ONCE)):
            self._make_tick(same_image=is_slow and self._composer.next_tick % 2 == 1)
        self.is_behind = behind > TICKS_AT_ONCE

    def sync(self) -> None:
        """To the disk: what a machine that loses its power still has."""
        if self._part is not None:
            self._part.sync()
        self._journal.sync()

    def close(self) -> None:
        """Makes the images up to the last frame, and completes the part."""
        if self._first_us is not None:
            while self._composer.next_tick < ticks_until(self._last_us - self._first_us - 1):
                self._make_tick()
                self._beat()
        self._write(self._composer.finish() if self._part is not None else ())
        self._close_part()

    def abandon(self) -> None:
        """Closes what still can be closed: the disk is full or broken."""
        with suppress(OSError):
            self._close_part()

    # --- images ----------------------------------------------------------------------------

    def _make_tick(self, *, same_image: bool = False) -> None:
        if self._part is None:
            self._open_part()
        self._write(self._composer.make_tick(same_image=same_image))

    def _open_part(self) -> None:
        name = names.composed_part_name(self._number)
        self._journal.write(Opened(name, "", self._start_us, after_restart=self._number > 1))
        self._part = Mp4Part(self._folder / name, self._encoders.templates)

    @property
    def _start_us(self) -> int:
        """When this process's part begins, in archive time."""
        return (self._first_us or 0) + tick_us(self._first_tick)

    def _write(self, packets: Iterable[Encoded]) -> None:
        for packet in packets:
            if self._part is not None:
                self._part.write(packet)

    def _close_part(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            part.close()
            stop_us = (self._first_us or 0) + tick_us(self._composer.next_tick)
            self._journal.write(Closed(names.composed_part_name(self._number), stop_us))
        self._composer.close()

    # --- items -------------------------------------------------------------------------------

    def _reached(self, host_us: int) -> int:
        """In the composer's time, which begins with the first frame."""
        return 0 if self._first_us is None else self._timeline.reached(host_us) - self._first_us

    def _handle_frame(self, frame: Frame) -> None:
        at_us = self._timeline.place(frame.pts_us)
        if at_us is None:
            self._ignored["paused"] += 1
            return
        if not self._composer.knows(frame):
            self._ignored["unknown_track"] += 1
            return
        if self._first_us is None:
            self._first_us = at_us
        self._composer.handle_frame(frame, at_us - self._first_us)
        self._last_us = max(self._last_us, at_us + max(0, frame.duration_us))

    def _handle_json(self, body: bytes, arrival_us: int) -> None:
        try:
            event = msgspec.json.decode(body, type=TapEvent)
            raw = msgspec.json.decode(body)
        except NOT_JSON:
            self._ignored["malformed_event"] += 1
            return
        at_us = self._reached(arrival_us)
        match event:
            case StreamAdded():
                self._handle_added(event, raw, arrival_us)
            case StreamRemoved():
                self._handle_removed(event.stream, at_us)
            case TrackMuted(stream=stream, kind=kind, muted=muted):
                self._composer.set_muted(stream, kind, at_us, muted=muted)
                self._journal.write(Muted(stream, kind, muted, at_us))
            case ClassesChanged(stream=stream, layout_class_list=classes):
                self._composer.set_classes(stream, classes, at_us)
                since_ms = (arrival_us - self._timeline.origin_us) // 1000
                unix_ms = self._created_unix_ms + max(0, since_ms)
                self._journal.write(Classes(stream, classes, at_us, unix_ms))

    def _handle_added(
        self,
        event: StreamAdded,
        raw: dict[str, Any],
        host_us: int,
        classes: list[str] | None = None,
    ) -> None:
        ssrcs = {track.ssrc for track in event.tracks}
        if self._composer.has(ssrcs):
            return  # said by the journal and by the tap
        self._added += 1
        if len(self._present) >= MAX_STREAMS or self._added > MAX_ADDED:
            self._ignored["too_many_streams"] += 1
            return
        self._present.add(event.stream)
        self._journal.write(Came(self._timeline.reached(host_us), raw))
        self._composer.add(event, self._reached(host_us), classes)

    def _handle_removed(self, stream: str, at_us: int) -> None:
        if stream not in self._present:
            return
        self._present.discard(stream)
        self._composer.remove(stream, at_us)
        # Published again, it says by itself what is muted.
        for kind in ("audio", "video"):
            self._journal.write(Muted(stream, kind, muted=False, at_us=at_us))
        self._journal.write(Left(stream))


def ticks_of(us: int) -> int:
    """The number of the image at a time that a journal has."""
    return (us * FPS + 500_000) // 1_000_000
