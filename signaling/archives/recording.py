"""One archive while it records: its tap, its job, and the times at which it stops by itself.

It watches the session, and stores and reports nothing by itself.
"""

from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from config.settings import ArchiveSettings
from sfu.egress.composition import Layout
from sfu.egress.control import LineError
from sfu.egress.jobs import ArchiveJob, Finished, Job
from sfu.ids import ConnectionId, StreamId, short
from sfu.media_plane import Tap, TapListener
from signaling.clock import Clock
from signaling.domain import commands as c
from signaling.domain.announcing import has_announced_connections
from signaling.domain.archived_streams import Selection, archived_streams
from signaling.domain.archiving import (
    MAX_LIFE_S,
    OVER,
    ArchiveEffect,
    ArchiveEvent,
    ArchiveRecord,
    ArchiveStatus,
    StreamMode,
    step,
)
from signaling.domain.session_options import SessionRecord
from signaling.domain.session_state import SessionState
from signaling.egress.recorders import Recorder, StreamFeed
from signaling.egress.styles import Frame, StyledLayout, Styles
from signaling.egress.tapped_streams import TappedStreams
from signaling.sessions.client_slot import Timer
from signaling.sessions.context import Schedule

log = structlog.get_logger(__name__)

_NO_ROOM = ("disk_full", "storage")
"""Codes of a job after which its folder can still become a file, if it is here."""
_ENDS: Mapping[str, ArchiveEvent] = {
    **dict.fromkeys(_NO_ROOM, ArchiveEvent.NO_ROOM),
    "no_media": ArchiveEvent.NOTHING_RECORDED,
    "member_lost": ArchiveEvent.MEMBER_LOST,
    "refused": ArchiveEvent.MEMBER_REFUSED,
}
"""What becomes of an archive whose job failed; of other codes `file_lost`."""


class RecordedSession(Protocol):
    """The session as an archive sees it."""

    state: SessionState

    def apply(self, command: c.Command) -> None: ...
    def open_tap(self, listener: TapListener) -> Tap: ...
    def watch(self, watcher: "Recording") -> None: ...
    def unwatch(self, watcher: "Recording") -> None: ...


class RecordingHost(Protocol):
    """Who stores and reports what becomes of an archive."""

    def on_changed(self, recording: "Recording") -> None:
        """The status changed."""

    def on_over(self, recording: "Recording", *, delete_files: bool) -> None:
        """Its job is over: nothing more comes."""

    def on_progress(self) -> None:
        """It has written something, so there is less room."""

    def recorders(self) -> Collection[ConnectionId]:
        """The clients of sessions that record them: where no other one is, nobody is."""


@dataclass(frozen=True, slots=True)
class RecordingTools:
    clock: Clock
    schedule: Schedule
    settings: ArchiveSettings
    styles: Styles


class Recording:
    """Owned by `Archives`. Implements `TapListener`, `JobListener` and `SessionWatcher`."""

    def __init__(
        self,
        record: ArchiveRecord,
        owner: SessionRecord,
        session: RecordedSession,
        host: RecordingHost,
        tools: RecordingTools,
    ) -> None:
        self.record = record
        self.is_elsewhere = False
        self.owner = owner
        self.selected: dict[StreamId, Selection] = {}
        self.goes_to_bucket = False
        """Its file is not for downloads: the record stays `stopped` until it is uploaded."""
        self._session = session
        self._host = host
        self._tools = tools
        self._tap: StreamFeed | None = None
        self._job: Job | None = None
        self._streams: TappedStreams | None = None
        self._styled = _styled_layout(record, tools.styles, self._arrange)
        self._had_stream = False
        self._began_s = tools.clock.monotonic_s()
        self._idle_since_s: float | None = None
        self._empty_since_s: float | None = None
        self._timer: Timer | None = None
        self._log = log.bind(archive=short(record.id))

    # --- what the application does ----------------------------------------------------------

    def begin(self, recorder: Recorder, job: ArchiveJob) -> None:
        """Errors: `MediaError`, `EgressError`; then nothing is left behind."""
        self._tap, self._job = recorder.begin(self._session, job, self)
        self.is_elsewhere = recorder.is_elsewhere
        self._streams = TappedStreams(self._tap)
        self._host.on_changed(self)
        self._session.watch(self)
        if self.is_elsewhere:
            self.on_change()
        else:
            self._session.apply(c.ArchiveBegan(self.record.id, self.record.name))

    def select(self, stream: StreamId, selection: Selection | None) -> None:
        """Records a stream in manual mode, or (None) no longer."""
        if selection is None:
            self.selected.pop(stream, None)
        else:
            self.selected[stream] = selection
        self.on_change()

    def set_layout(self, layout: Layout) -> None:
        """Of a composed archive."""
        if self.record.composition is not None and self._job is not None:
            composition = replace(self.record.composition, layout=layout)
            self.record = replace(self.record, composition=composition)
            self._styled.set(layout)

    def _arrange(self, layout: Layout) -> None:
        if self._job is not None:
            self._job.set_layout(layout)

    def holds(self, stream: StreamId) -> bool:
        return self.record.is_recording and self._streams is not None and stream in self._streams

    def handle(self, event: ArchiveEvent) -> None:
        """Errors: those of `step`."""
        record, effects = step(self.record, event, self._unix_ms())
        if record is self.record:
            return
        self.record = record
        self._log.info("archive", status=record.status.value, reason=record.reason)
        if ArchiveEffect.PAUSE in effects and self._job is not None:
            self._job.pause()
        if ArchiveEffect.RESUME in effects and self._job is not None:
            self._job.resume()
        if ArchiveEffect.FINISH in effects:
            self._finish()
        self._host.on_changed(self)
        if record.status in OVER:
            self._close()
            self._host.on_over(self, delete_files=ArchiveEffect.DELETE_FILES in effects)

    def _finish(self) -> None:
        self._styled.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._tap is not None:
            self._tap.end()
        if self._job is not None:
            self._job.finish(self.record.reason)
        self._session.unwatch(self)
        self._session.apply(c.ArchiveEnded(self.record.id))

    def _close(self) -> None:
        if self._tap is not None:
            self._tap.close()
        self._tap = self._job = self._streams = None

    # --- what happens in the session --------------------------------------------------------

    def on_change(self) -> None:
        """A command was applied to the session."""
        if not self.record.is_recording:
            return
        state = self._session.state
        if self._streams is not None:
            streams = archived_streams(state, self.record, self.selected)
            self._streams.update(streams)
            self._styled.update(streams)
        is_occupied = has_announced_connections(state, self._host.recorders())
        self._note_presence(is_empty=not is_occupied)

    def on_end(self) -> None:
        """The session's media ends."""
        self.handle(ArchiveEvent.SHUTDOWN)

    # --- times ------------------------------------------------------------------------------

    def _note_presence(self, *, is_empty: bool) -> None:
        has_streams = bool(self._streams)
        self._had_stream |= has_streams
        now_s = self._tools.clock.monotonic_s()
        since = (
            None if has_streams else _earlier(self._idle_since_s, now_s),
            _earlier(self._empty_since_s, now_s) if is_empty else None,
        )
        if self._timer is None or since != (self._idle_since_s, self._empty_since_s):
            self._idle_since_s, self._empty_since_s = since
            self._set_timer(now_s)
        self.handle(ArchiveEvent.STREAM_CAME if has_streams else ArchiveEvent.LAST_STREAM_LEFT)

    def _set_timer(self, now_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due_s, event = min(self._due(), key=lambda one: one[0])
        self._timer = self._tools.schedule(max(0.0, due_s - now_s), lambda: self.handle(event))

    def _due(self) -> list[tuple[float, ArchiveEvent]]:
        """When it stops by itself if nothing changes, and why."""
        settings = self._tools.settings
        found = [(self._began_s + MAX_LIFE_S, ArchiveEvent.MAXIMUM)]
        if self._empty_since_s is not None:
            found.append((self._empty_since_s + settings.empty_s, ArchiveEvent.SESSION_EMPTY))
        if self._idle_since_s is not None:
            waits_for_first = not self._had_stream and self.record.stream_mode is StreamMode.AUTO
            wait_s = settings.empty_s if waits_for_first else settings.idle_s
            found.append((self._idle_since_s + wait_s, ArchiveEvent.IDLE))
        return found

    # --- what the plane and the job say -----------------------------------------------------

    def on_stream_gone(self, stream: StreamId) -> None:
        """The tap has told the job; the session ends the stream in a moment."""
        self._log.debug("stream gone", stream=short(stream))

    def on_tap_closed(self, reason: str) -> None:
        self._log.info("tap closed", reason=reason)
        self.handle(ArchiveEvent.CHILD_LOST)

    def on_recording(self) -> None:
        self._log.info("archive records")

    def on_joined(self, connection: ConnectionId) -> None:
        """A member service records, as a client that everybody in the session sees. It tells them
        itself, encrypted: of an archive that the server announced they could believe nothing.
        Errors: `LineError` if there is no such client."""
        if not self.record.is_recording:
            return
        found = self._session.state.connections.get(connection)
        if found is None or not found.announced:
            raise LineError("its connection is not in the session")

    def on_progress(self, recorded_ms: int, size_bytes: int) -> None:
        if not self.record.is_recording:
            return
        self.record = replace(self.record, recorded_ms=recorded_ms, size_bytes=size_bytes)
        if recorded_ms >= self._tools.settings.max_duration_s * 1000:
            self.handle(ArchiveEvent.MAXIMUM)
        elif not self.is_elsewhere:
            self._host.on_progress()

    def on_finished(self, result: Finished) -> None:
        # Without a request to finish: what recorded died too often.
        self.handle(ArchiveEvent.CHILD_LOST)
        if self.record.status is not ArchiveStatus.STOPPED:
            return
        if self.is_elsewhere:
            self.record = finished_record(self.record, result, None)
            self.handle(ArchiveEvent.FILE_KEPT)
            return
        kept_ms = self._tools.settings.keep_h * 3_600_000
        self.record = finished_record(self.record, result, self._unix_ms() + kept_ms)
        if self.goes_to_bucket:
            self._close()
            self._host.on_over(self, delete_files=False)
        else:
            self.handle(ArchiveEvent.FILE_DONE)

    def on_failed(self, code: str, text: str) -> None:
        self._log.warning("archive failed", code=code, reason=text)
        if code in _NO_ROOM and not self.is_elsewhere:
            # It stays `stopped`: house-keeping tries again while there is hope for room.
            self.handle(ArchiveEvent.DISK_FULL)
            self._close()
            self._host.on_over(self, delete_files=False)
        else:
            self.handle(_ENDS.get(code, ArchiveEvent.FILE_LOST))

    def _unix_ms(self) -> int:
        return int(self._tools.clock.unix_s() * 1000)


def _styled_layout(
    record: ArchiveRecord, styles: Styles, apply: Callable[[Layout], None]
) -> StyledLayout:
    """An archive that is not composed has the layout of one that nobody changes."""
    wanted = record.composition
    width, height = (0, 0) if wanted is None else (wanted.width, wanted.height)
    layout = Layout() if wanted is None else wanted.layout
    return StyledLayout(styles, Frame(record.project_id, "archive", width, height), layout, apply)


def _earlier(known_s: float | None, now_s: float) -> float:
    return now_s if known_s is None else known_s


def finished_record(
    record: ArchiveRecord, result: Finished, expires_ms: int | None
) -> ArchiveRecord:
    """The record with what is known of the complete file. `expires_ms` is None where it is the
    customer's."""
    return replace(
        record,
        recorded_ms=result.recorded_ms,
        size_bytes=result.size_bytes,
        sha256=b64encode(result.sha256).decode(),
        expires_ms=expires_ms,
    )
