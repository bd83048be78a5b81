"""What the archives of a node work with."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from config.settings import ArchiveSettings
from sfu.egress.jobs import ArchiveJob, Egress
from sfu.egress.uploads import BucketUploads
from signaling.archives.files import ArchiveFiles
from signaling.archives.recording import RecordedSession
from signaling.clock import Clock
from signaling.domain.archiving import ArchiveRecord
from signaling.domain.errors import ErrorCode, Unavailable, error
from signaling.domain.features import Feature
from signaling.domain.session_options import SessionRecord
from signaling.egress.distant_stops import DistantStops
from signaling.egress.links import Links
from signaling.egress.member_runs import MemberRecorder
from signaling.egress.members import Members
from signaling.egress.recorders import OwnRecorder, Recorder
from signaling.egress.styles import Styles
from signaling.metrics import Metrics
from signaling.sessions.actor import SessionActor
from signaling.sessions.context import ReportEvent, Schedule
from signaling.storage.base import Store

Sleep = Callable[[float], Awaitable[None]]


class RecordedSessions(Protocol):
    """The sessions with clients in them. Each of `on_session` is called with each new one."""

    @property
    def on_session(self) -> list[Callable[[SessionActor], None]]: ...

    def find(self, session: str) -> RecordedSession | None: ...


@dataclass(frozen=True, slots=True)
class ArchiveParts:
    """`egress` is None if this installation cannot record, `uploader` if it reaches no bucket.
    `members` are those that record encrypted sessions, for their customers. `allowed_networks`:
    where buckets may be beside public addresses, space-separated."""

    store: Store
    sessions: RecordedSessions
    files: ArchiveFiles
    egress: Egress | None
    report_event: ReportEvent
    metrics: Metrics
    clock: Clock
    schedule: Schedule
    settings: ArchiveSettings
    links: Links
    styles: Styles
    stops: DistantStops
    members: Members
    sleep: Sleep = asyncio.sleep
    uploader: BucketUploads | None = None
    allowed_networks: str = ""

    def job(self, record: ArchiveRecord) -> ArchiveJob:
        return ArchiveJob(
            archive=record.id,
            folder=self.files.folder(record),
            session=record.session_id,
            name=record.name,
            created_unix_ms=record.created_ms,
            hold_ms=self.settings.hold_ms,
            composition=record.composition,
        )

    def recorder(self, session: SessionRecord) -> Recorder:
        """Errors: `feature_unavailable`, and `feature_needs_clear_media` for an encrypted session
        whose project has no member service."""
        if session.options.e2ee:
            if not self.members.offers(session.project_id, Feature.ARCHIVE):
                raise error(ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA)
            return MemberRecorder(self.members, session.project_id, self.clock, self.schedule)
        if self.egress is None or not self.settings.enabled:
            raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE)
        return OwnRecorder(self.egress)

    def unix_ms(self) -> int:
        return int(self.clock.unix_s() * 1000)
