"""Who records a session: processes of this server, which are given clear media, or a member service
of the customer, which joins an encrypted session."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sfu.core_api import MediaKind
from sfu.egress.jobs import ArchiveJob, Egress, Job, JobListener
from sfu.ids import ConnectionId, StreamId
from sfu.media_plane import Tap, TapListener


class StreamFeed(Protocol):
    """Where the streams of a recording go: a `Tap`, or what tells a member of them."""

    def add(
        self, stream: StreamId, kinds: frozenset[MediaKind], properties: Mapping[str, object]
    ) -> None:
        """Errors: `MediaError`."""

    def remove(self, stream: StreamId, reason: str) -> None: ...
    def set_forwarding(self, stream: StreamId, kind: MediaKind, forwarding: bool) -> None:
        """Errors: `MediaError`."""

    def write(self, event: Mapping[str, object]) -> None: ...
    def end(self) -> None: ...
    def close(self) -> None: ...


class RecordingListener(JobListener, TapListener, Protocol):
    """What hears of a recording."""

    def on_joined(self, connection: ConnectionId) -> None:
        """A member service is in the session. Errors: `LineError` if the session does not have
        that connection."""


class TappedSession(Protocol):
    def open_tap(self, listener: TapListener) -> Tap: ...


class Recorder(Protocol):
    @property
    def is_elsewhere(self) -> bool:
        """Its files are not this server's: no disk of it fills, and nothing is here to download.
        It is announced when it has joined."""

    def begin(
        self, session: TappedSession, job: ArchiveJob, listener: RecordingListener
    ) -> tuple[StreamFeed, Job]:
        """Errors: `MediaError`, `EgressError`; then nothing is left behind."""


@dataclass(frozen=True, slots=True)
class OwnRecorder:
    """Processes of this server, behind a tap. Implements `Recorder`."""

    egress: Egress
    is_elsewhere: bool = False

    def begin(
        self, session: TappedSession, job: ArchiveJob, listener: RecordingListener
    ) -> tuple[StreamFeed, Job]:
        """Errors: `MediaError`, `EgressError`; then nothing is left behind."""
        tap = session.open_tap(listener)
        try:
            return tap, self.egress.start(job, tap.child_end, listener)
        except BaseException:
            tap.close()
            raise
