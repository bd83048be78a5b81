"""What one stream of a session sends, as files: which frame goes into which part.

A new part begins where a file cannot go on: other H.264 parameters, another codec, video that
comes later than `VIDEO_WAIT_US`. It always begins with the frames at hand, its video with a key
frame. Times are those of the archive, in microseconds.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sfu.egress.child import codec_changes
from sfu.egress.child.codec_private import private_of
from sfu.egress.child.events import Closed, Entry, Gap, Opened, Rotated, StreamAdded
from sfu.egress.child.frames import Frame
from sfu.egress.child.matroska import KINDS, TrackFormat
from sfu.egress.child.part import Part
from sfu.egress.control import IgnoredReason

VIDEO_WAIT_US = 2_000_000
"""How long a file waits for the first key frame; then audio begins alone."""
AUDIO_WAIT_US = 600_000
"""How long video waits for audio: longer than the reader holds packets back."""
PENDING_BYTES = 8_388_608
LATE_US = 1_000_000
"""How long a finished part waits for the rest of its audio."""
GAP_JOIN_US = 250_000
"""Losses that are closer together are one gap."""
MAX_SIDE = 4_096
"""Pixels: larger video is of no participant; players pay for each of them."""
PARTS_AT_ONCE = 10
PART_EVERY_US = 10_000_000
"""A publisher that changes its parameters with each key frame gets a file every 10 s, no more."""


@dataclass(slots=True)
class _OpenPart:
    file: str
    part: Part
    start_us: int
    stop_us: int
    signature: bytes = b""
    needs_key: bool = True
    degrees: int | None = None


class StreamRecorder:
    """One stream from its arrival to its end."""

    def __init__(
        self,
        added: StreamAdded,
        name_file: Callable[[str, str | None], Path],
        write_entry: Callable[[Entry], None],
        *,
        has_room: Callable[[], bool] = lambda: True,
        after_restart: bool = False,
    ) -> None:
        self._added = added
        self._name_file = name_file
        self._write_entry = write_entry
        self._has_room = has_room
        self._after_restart = after_restart
        self._kinds = {track.ssrc: track.kind for track in added.tracks}
        self._muted: set[str] = set()
        self._pending: deque[tuple[int, Frame]] = deque()
        self._pending_bytes = 0
        self._pending_format: TrackFormat | None = None
        self._current: _OpenPart | None = None
        self._earlier: list[_OpenPart] = []  # until the rest of their audio is here
        self._gap: Gap | None = None
        self._opened = 0
        self._first_us: int | None = None
        self.refused: Counter[IgnoredReason] = Counter()

    @property
    def stream(self) -> str:
        return self._added.stream

    @property
    def ssrcs(self) -> frozenset[int]:
        return frozenset(self._kinds)

    @property
    def video_ssrcs(self) -> list[int]:
        return [ssrc for ssrc, kind in self._kinds.items() if kind == "video"]

    def set_muted(self, kind: str, *, muted: bool) -> None:
        (self._muted.add if muted else self._muted.discard)(kind)

    def handle_frame(self, frame: Frame, at_us: int) -> None:
        """Errors: `OSError` of the disk. A frame that no file can hold is counted."""
        if KINDS.get(frame.codec) != frame.kind:
            self.refused["not_in_a_file"] += 1
            return
        if max(frame.width, frame.height) > MAX_SIDE:
            self.refused["frame_too_large"] += 1
            self.need_key_frames()
            return
        if self._current is None and not self._has_room():
            self.refused["too_many_parts"] += 1
        elif self._current is None:
            self._keep(frame, at_us)
        elif frame.kind == "video":
            self._handle_video(self._current, frame, at_us)
        else:
            self._handle_audio(self._current, frame, at_us)

    def handle_time(self, at_us: int) -> None:
        """Begins a part that waited long enough, ends and writes what is complete."""
        if self._current is not None:
            self._current.part.flush_before(at_us - self._current.start_us)
        if self._pending and self._has_waited(at_us):
            self._begin()
        if self._current is not None and at_us - self._current.start_us >= LATE_US:
            self._close_earlier(len(self._earlier))
        if self._gap is not None and at_us - self._gap.to_us >= LATE_US:
            self._write_gap()

    def handle_loss(self, from_us: int, to_us: int, reason: str = "network") -> None:
        if self._current is None or to_us <= from_us:
            return
        gap = self._gap
        is_near = gap is not None and from_us - gap.to_us <= GAP_JOIN_US
        if gap is not None and gap.reason == reason and is_near:
            first, last = min(gap.from_us, from_us), max(gap.to_us, to_us)
            self._gap = Gap(gap.file, first, last, gap.reason)
            return
        self._write_gap()
        self._gap = Gap(self._current.file, from_us, to_us, reason)

    def need_key_frames(self) -> None:
        """What follows has no reference to what was written: after a pause."""
        if self._current is not None:
            self._current.needs_key = True

    def sync(self) -> None:
        for one in (*self._earlier, self._current):
            if one is not None:
                one.part.sync()

    def close(self) -> None:
        """Writes what waits and completes the files."""
        if self._pending:
            self._begin()
        self._close_earlier(len(self._earlier))
        if self._current is not None:
            current, self._current = self._current, None
            self._write_gap()
            self._complete(current)

    # --- before a part -------------------------------------------------------------------

    def _keep(self, frame: Frame, at_us: int) -> None:
        if frame.kind == "video" and self._pending_format is None:
            self._pending_format = _format_of(frame)
            if self._pending_format is None:
                self.refused["not_in_a_file"] += 1
                return
        self._pending.append((at_us, frame))
        self._pending_bytes += len(frame.data)
        if self._has_waited(at_us):
            self._begin()

    def _has_waited(self, at_us: int) -> bool:
        waited_us = at_us - min(at for at, _ in self._pending)
        there = {frame.kind for _, frame in self._pending}
        missing = {kind for kind in ("audio", "video") if self._awaits(kind)} - there
        limit_us = max(
            (VIDEO_WAIT_US if kind == "video" else AUDIO_WAIT_US for kind in missing), default=0
        )
        return waited_us >= limit_us or self._pending_bytes > PENDING_BYTES

    def _awaits(self, kind: str) -> bool:
        return self._added.has(kind) and kind not in self._muted

    def _begin(self) -> None:
        """Opens the next part for what waits."""
        pending, self._pending, self._pending_bytes = self._pending, deque(), 0
        video, self._pending_format = self._pending_format, None
        if not self._has_room():
            self.refused["too_many_parts"] += len(pending)
            return
        key = next((frame for _, frame in pending if frame.kind == "video"), None)
        self._open(video, key, min(at for at, _ in pending))
        for at_us, frame in pending:
            self.handle_frame(frame, at_us)

    def _open(self, video: TrackFormat | None, key: Frame | None, start_us: int) -> _OpenPart:
        formats = [] if video is None else [video]
        # Opus needs no frame to be described, so audio that is unmuted later needs no new part.
        if self._added.has("audio") or video is None:
            formats.append(TrackFormat("audio", "opus"))
        path = self._name_file(self.stream, video.codec if video else None)
        self._write_entry(Opened(path.name, self.stream, start_us, self._after_restart))
        self._after_restart = False
        self._opened += 1
        self._first_us = start_us if self._first_us is None else self._first_us
        signature = codec_changes.signature(key) if key else b""
        part = Part(path, formats)
        self._current = _OpenPart(path.name, part, start_us, start_us, signature)
        return self._current

    # --- in a part -----------------------------------------------------------------------

    def _handle_video(self, current: _OpenPart, frame: Frame, at_us: int) -> None:
        if frame.key and not self._goes_on(current, frame):
            video = self._format_of_next(frame, at_us)
            if video is None:
                current.needs_key = True
                return
            current = self._replace(current, video, frame, at_us)
        if "video" not in current.part.tracks or at_us < current.start_us:
            self.refused["not_in_a_file"] += 1
            return
        if current.needs_key and not frame.key:
            self.refused["not_in_a_file"] += 1
            return
        self._write_rotation(current, frame, at_us)
        self._write(current, frame, at_us)
        current.needs_key = False

    def _goes_on(self, current: _OpenPart, frame: Frame) -> bool:
        track = current.part.tracks.get("video")
        if track is None or track.codec != frame.codec:
            return False
        found = codec_changes.signature(frame)
        return not found or found == current.signature

    def _format_of_next(self, key: Frame, at_us: int) -> TrackFormat | None:
        """What the next part holds; None, and counted, where there is none."""
        if not self._has_room():
            self.refused["too_many_parts"] += 1
            return None
        found = _format_of(key) if self._may_open(at_us) else None
        if found is None:
            self.refused["not_in_a_file"] += 1
        return found

    def _may_open(self, at_us: int) -> bool:
        since_us = at_us - (at_us if self._first_us is None else self._first_us)
        return self._opened < PARTS_AT_ONCE + since_us // PART_EVERY_US

    def _replace(self, current: _OpenPart, video: TrackFormat, key: Frame, at_us: int) -> _OpenPart:
        """A new part from this frame on. The old one stays open for audio that is not here yet."""
        self._write_gap()
        self._earlier.append(current)
        self._current = None
        return self._open(video, key, at_us)

    def _handle_audio(self, current: _OpenPart, frame: Frame, at_us: int) -> None:
        if self._earlier:
            parts = [*self._earlier, current]
            at = max((at for at, one in enumerate(parts) if one.start_us <= at_us), default=0)
            self._close_earlier(at)
            current = parts[at]
        if "audio" not in current.part.tracks or at_us < current.start_us:
            self.refused["not_in_a_file"] += 1
            return
        self._write(current, frame, at_us)

    def _write(self, to: _OpenPart, frame: Frame, at_us: int) -> None:
        try:
            to.part.write(
                frame.kind,
                frame.data,
                at_us=at_us - to.start_us,
                duration_us=frame.duration_us,
                key=frame.key or frame.kind == "audio",
            )
        except ValueError:
            self.refused["not_in_a_file"] += 1
            to.needs_key = to.needs_key or frame.kind == "video"
            return
        to.stop_us = max(to.stop_us, at_us + max(0, frame.duration_us))

    def _write_rotation(self, current: _OpenPart, frame: Frame, at_us: int) -> None:
        if frame.degrees is None or frame.degrees == (current.degrees or 0):
            return
        current.degrees = frame.degrees
        self._write_entry(Rotated(current.file, at_us, frame.degrees))

    def _write_gap(self) -> None:
        if self._gap is not None:
            self._write_entry(self._gap)
            self._gap = None

    # --- after a part --------------------------------------------------------------------

    def _close_earlier(self, count: int) -> None:
        """Completes the first `count` of the parts that are no longer the current one."""
        for _ in range(count):
            self._complete(self._earlier.pop(0))

    def _complete(self, one: _OpenPart) -> None:
        one.part.close()
        if one.stop_us > one.start_us:
            self._write_entry(Closed(one.file, one.stop_us))


def _format_of(frame: Frame) -> TrackFormat | None:
    """What a file's header says of the frames that begin with this one; None if it is no
    beginning."""
    if not frame.key or frame.width <= 0 or frame.height <= 0:
        return None
    try:
        private = private_of(frame.codec, frame.data)
    except ValueError:
        return None
    return TrackFormat("video", frame.codec, frame.width, frame.height, private)
