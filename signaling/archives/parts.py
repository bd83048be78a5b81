"""What the archives of a node work with."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from config.settings import ArchiveSettings
from sfu.egress.jobs import ArchiveJob, Egress
from signaling.archives.files import ArchiveFiles
from signaling.archives.recording import RecordedSession
from signaling.clock import Clock
from signaling.domain.archiving import ArchiveRecord
from signaling.egress.links import Links
from signaling.egress.styles import Styles
from signaling.metrics import Metrics
from signaling.sessions.actor import SessionActor
from signaling.sessions.context import ReportEvent, Schedule
from signaling.storage.base import Store

Sleep = Callable[[float], Awaitable[None]]


class RecordedSessions(Protocol):
    """The sessions with clients in them. `on_session` is called with each new one."""

    on_session: Callable[[SessionActor], None]

    def find(self, session: str) -> RecordedSession | None: ...


@dataclass(frozen=True, slots=True)
class ArchiveParts:
    """`egress` is None if this installation cannot record."""

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
    sleep: Sleep = asyncio.sleep

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

    def unix_ms(self) -> int:
        return int(self.clock.unix_s() * 1000)
