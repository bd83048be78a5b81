"""The captions of one session while they run: their tap, their process, and when they end by
themselves.

They are no client of the session: nobody sees them join. What was said goes to the subscribers that
asked for it, and is neither stored nor logged.
"""

from dataclasses import dataclass
from typing import Protocol

import structlog

from config.caption_settings import CaptionSettings
from sfu.egress.caption_jobs import CaptionEgress, CaptionJob, CaptionRun
from sfu.ids import StreamId, short
from sfu.media_plane import Tap, TapListener
from signaling.clock import Clock
from signaling.domain import commands as c
from signaling.domain.announcing import has_announced_connections
from signaling.domain.captioning import (
    CaptionsEvent,
    CaptionsRecord,
    CaptionsStatus,
    captioned_streams,
    step,
)
from signaling.domain.session_options import SessionRecord
from signaling.domain.session_state import SessionState
from signaling.egress.lifespan import Ends, Lifespan
from signaling.egress.tapped_streams import TappedStreams
from signaling.sessions.context import Schedule
from signaling.sessions.watching import SessionWatcher

log = structlog.get_logger(__name__)


class CaptionedSession(Protocol):
    """The session as captions see it."""

    state: SessionState

    def apply(self, command: c.Command) -> None: ...
    def open_tap(self, listener: TapListener) -> Tap: ...
    def watch(self, watcher: SessionWatcher) -> None: ...
    def unwatch(self, watcher: SessionWatcher) -> None: ...


class CaptionsHost(Protocol):
    """Who stores and reports what becomes of captions."""

    def on_changed(self, run: "SessionCaptions") -> None:
        """They began, or have ended."""

    def on_over(self, run: "SessionCaptions") -> None:
        """Nothing of them is left."""


@dataclass(frozen=True, slots=True)
class RunTools:
    clock: Clock
    schedule: Schedule
    settings: CaptionSettings

    def unix_ms(self) -> int:
        return int(self.clock.unix_s() * 1000)


class SessionCaptions:
    """Owned by `Captions`. Implements `TapListener`, `CaptionListener`, `SessionWatcher`."""

    def __init__(
        self,
        record: CaptionsRecord,
        owner: SessionRecord,
        session: CaptionedSession,
        host: CaptionsHost,
        tools: RunTools,
    ) -> None:
        self.record = record
        self.owner = owner
        self._session = session
        self._host = host
        self._tools = tools
        self._tap: Tap | None = None
        self._run: CaptionRun | None = None
        self._streams: TappedStreams | None = None
        ends = Ends(
            record.max_duration_s,
            CaptionsEvent.MAXIMUM,
            tools.settings.empty_s,
            CaptionsEvent.SESSION_EMPTY,
        )
        self._lifespan = Lifespan(ends, tools.clock, tools.schedule, self.handle)
        self._log = log.bind(captions=short(record.id))

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def project(self) -> str:
        return self.record.project_id

    def begin(self, egress: CaptionEgress) -> None:
        """Errors: `MediaError`, `EgressError`. The caller ends what fails by `leave`."""
        self._tap = tap = self._session.open_tap(self)
        job = CaptionJob(self.record.language, self.record.partials)
        self._run = egress.start(job, tap.child_end, self)
        self._streams = TappedStreams(tap)
        self._host.on_changed(self)
        self._session.watch(self)
        self._lifespan.begin()
        self.on_change()

    def handle(self, event: CaptionsEvent) -> None:
        record = step(self.record, event, self._tools.unix_ms())
        if record is self.record:
            return
        self.record = record
        self._log.info("captions over", status=record.status.value, reason=record.reason)
        self.leave()
        self._host.on_changed(self)

    def leave(self) -> None:
        """Frees everything. Idempotent."""
        self._lifespan.end()
        self._session.unwatch(self)
        run, self._run = self._run, None
        if run is not None:
            run.leave()
        tap, self._tap, self._streams = self._tap, None, None
        if tap is not None:
            tap.close()
        self._host.on_over(self)

    def hears(self, stream: str) -> bool:
        return self._streams is not None and StreamId(stream) in self._streams

    @property
    def failure(self) -> str | None:
        """What is counted, unless they ended as they should."""
        return self.record.reason if self.record.status is CaptionsStatus.FAILED else None

    # --- what happens in the session --------------------------------------------------------

    def on_change(self) -> None:
        """A command was applied to the session."""
        if not self.record.is_running or self._streams is None:
            return
        state = self._session.state
        self._streams.update(captioned_streams(state))
        self._lifespan.note_presence(is_empty=not has_announced_connections(state))

    def on_end(self) -> None:
        """The session's media ends."""
        self.handle(CaptionsEvent.SHUTDOWN)

    # --- what the plane and the process say -------------------------------------------------

    def on_caption(self, stream: str, text: str, *, is_final: bool) -> None:
        if self.record.is_running and self.hears(stream):
            self._session.apply(c.CaptionSpoken(StreamId(stream), text, is_final))

    def on_another_process(self) -> None:
        if self._streams is not None:
            self._streams.add_again("another process")

    def on_over(self) -> None:
        self.handle(CaptionsEvent.CHILD_LOST)

    def on_stream_gone(self, stream: StreamId) -> None:
        """The tap has told the process; the session ends the stream in a moment."""
        self._log.debug("stream gone", stream=short(stream))

    def on_tap_closed(self, reason: str) -> None:
        self._log.info("tap closed", reason=reason)
        self.handle(CaptionsEvent.CHILD_LOST)
