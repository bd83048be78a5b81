"""One broadcast while it runs: its tap, its job, and the times at which it stops by itself.

It watches the session, and stores and reports nothing by itself.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from config.broadcast_settings import BroadcastSettings
from sfu.egress.broadcast_jobs import BroadcastEgress, BroadcastJob, RunningJob, layout_of
from sfu.egress.composition import Layout
from sfu.ids import StreamId, short
from sfu.media_plane import Tap, TapListener
from signaling.clock import Clock
from signaling.domain.announcing import has_announced_connections
from signaling.domain.archived_streams import Selection, archived_streams
from signaling.domain.broadcasting import (
    BroadcastEvent,
    BroadcastRecord,
    OutputStatus,
    step,
    with_output,
)
from signaling.domain.session_options import SessionRecord
from signaling.domain.session_state import SessionState
from signaling.egress.lifespan import Ends, Lifespan
from signaling.egress.styles import Frame, StyledLayout, Styles
from signaling.egress.tapped_streams import TappedStreams
from signaling.sessions.context import Schedule
from signaling.sessions.watching import SessionWatcher

log = structlog.get_logger(__name__)


class BroadcastSession(Protocol):
    """The session as a broadcast sees it."""

    state: SessionState

    def open_tap(self, listener: TapListener) -> Tap: ...
    def watch(self, watcher: SessionWatcher) -> None: ...
    def unwatch(self, watcher: SessionWatcher) -> None: ...


class BroadcastHost(Protocol):
    """Who stores and reports what becomes of a broadcast."""

    def on_changed(self, run: "BroadcastRun") -> None:
        """The status of the broadcast or of an output changed."""

    def on_over(self, run: "BroadcastRun") -> None:
        """Its job is over: nothing more comes."""


@dataclass(frozen=True, slots=True)
class RunTools:
    clock: Clock
    schedule: Schedule
    settings: BroadcastSettings
    styles: Styles


class BroadcastRun:
    """Owned by `Broadcasts`. Implements `TapListener`, `BroadcastListener`, `SessionWatcher`."""

    def __init__(
        self,
        record: BroadcastRecord,
        owner: SessionRecord,
        session: BroadcastSession,
        host: BroadcastHost,
        tools: RunTools,
    ) -> None:
        self.record = record
        self.owner = owner
        self.selected: dict[StreamId, Selection] = {}
        self._session = session
        self._host = host
        self._tools = tools
        self._tap: Tap | None = None
        self._job: RunningJob | None = None
        self._streams: TappedStreams | None = None
        layout = layout_of(record.layout)
        self._styled = StyledLayout(tools.styles, frame_of(record), layout, self._arrange)
        ends = Ends(
            record.max_duration_s,
            BroadcastEvent.MAXIMUM,
            tools.settings.empty_s,
            BroadcastEvent.SESSION_EMPTY,
        )
        self._lifespan = Lifespan(ends, tools.clock, tools.schedule, self.handle)
        self._is_over = False
        self._log = log.bind(broadcast=short(record.id))

    # --- what the application does ----------------------------------------------------------

    def begin(self, egress: BroadcastEgress, job: BroadcastJob) -> None:
        """Errors: `MediaError`, `EgressError`; then nothing is left behind."""
        tap = self._session.open_tap(self)
        try:
            self._job = egress.start_broadcast(job, tap.child_end, self)
        except BaseException:
            tap.close()
            raise
        self._tap, self._streams = tap, TappedStreams(tap)
        self._host.on_changed(self)
        self._session.watch(self)
        self._lifespan.begin()
        self.on_change()

    def select(self, stream: StreamId, selection: Selection | None) -> None:
        """Broadcasts a stream in manual mode, or (None) no longer."""
        if selection is None:
            self.selected.pop(stream, None)
        else:
            self.selected[stream] = selection
        self.on_change()

    def set_layout(self, layout: dict[str, object]) -> None:
        self.record = replace(self.record, layout=layout)
        self._styled.set(layout_of(layout))

    def _arrange(self, layout: Layout) -> None:
        if self._job is not None:
            self._job.set_layout(layout)

    def holds(self, stream: StreamId) -> bool:
        return self.record.is_running and self._streams is not None and stream in self._streams

    def handle(self, event: BroadcastEvent) -> None:
        """Errors: those of `step`."""
        record = step(self.record, event, self._unix_ms())
        if record is self.record:
            return
        self.record = record
        self._log.info("broadcast", status=record.status.value, reason=record.reason)
        self._finish()
        self._host.on_changed(self)

    def _finish(self) -> None:
        self._styled.close()
        self._lifespan.end()
        if self._tap is not None:
            self._tap.end()
        if self._job is not None:
            self._job.finish(self.record.reason)
        self._session.unwatch(self)

    # --- what happens in the session --------------------------------------------------------

    def on_change(self) -> None:
        """A command was applied to the session."""
        if not self.record.is_running or self._streams is None:
            return
        state = self._session.state
        streams = archived_streams(state, self.record, self.selected)
        self._streams.update(streams)
        self._styled.update(streams)
        self._lifespan.note_presence(is_empty=not has_announced_connections(state))

    def on_end(self) -> None:
        """The session's media ends."""
        self.handle(BroadcastEvent.SHUTDOWN)

    # --- what the plane, the job and the viewers say ----------------------------------------

    def on_stream_gone(self, stream: StreamId) -> None:
        """The tap has told the job; the session ends the stream in a moment."""
        self._log.debug("stream gone", stream=short(stream))

    def on_tap_closed(self, reason: str) -> None:
        self._log.info("tap closed", reason=reason)
        self.handle(BroadcastEvent.CHILD_LOST)

    def on_output(self, output: str, status: str) -> None:
        record = with_output(self.record, output, OutputStatus(status), self._unix_ms())
        if record is not self.record:
            self.record = record
            self._log.info("output of a broadcast", status=status)
            self._host.on_changed(self)

    def on_finished(self) -> None:
        # Without a request to finish: the process ended by itself.
        self.handle(BroadcastEvent.CHILD_LOST)
        self._close()

    def on_failed(self, code: str, text: str) -> None:
        self._log.warning("broadcast failed", code=code, reason=text)
        full = code == "disk_full"
        self.handle(BroadcastEvent.DISK_FULL if full else BroadcastEvent.CHILD_LOST)
        self._close()

    def _close(self) -> None:
        if self._tap is not None:
            self._tap.close()
        self._tap = self._job = self._streams = None
        if not self._is_over:
            self._is_over = True
            self._host.on_over(self)

    def _unix_ms(self) -> int:
        return int(self._tools.clock.unix_s() * 1000)


def frame_of(record: BroadcastRecord) -> Frame:
    width, _, height = record.resolution.partition("x")
    return Frame(record.project_id, "broadcast", int(width), int(height))
