"""Archives that nobody starts: of sessions with `archiveMode` always, from their first stream on.

The next one begins when an archive ends at its maximum duration. One that ended in another way,
such as by the application's stop, is followed when the session had no stream meanwhile.
"""

import asyncio

import structlog

from sfu.egress.composition import Layout
from sfu.ids import short
from signaling.archives.parts import ArchiveParts
from signaling.archives.service import Archives, WantedArchive
from signaling.domain.archiving import ArchiveRecord, Reason, StreamMode, composition_of
from signaling.domain.errors import DomainError, ErrorCode
from signaling.domain.session_options import ArchiveMode, SessionRecord
from signaling.sessions.actor import SessionActor

log = structlog.get_logger(__name__)

RETRY_S = 30.0
"""Without room, or without the storage: media that comes meanwhile is in no archive."""


class AutomaticArchives:
    """`on_session` is called with each session that clients come to."""

    def __init__(self, parts: ArchiveParts, archives: Archives) -> None:
        self._parts = parts
        self._archives = archives
        self._tasks: set[asyncio.Task[None]] = set()

    def on_session(self, session: SessionActor) -> None:
        wants = session.state.record.options.archive_mode is ArchiveMode.ALWAYS
        if wants and self._archives.is_available:
            session.watch(_Watcher(session, self))

    def running(self, session_id: str) -> ArchiveRecord | None:
        """The newest archive of the session without a tag that is not over yet."""
        records = [one.record for one in self._archives.running()]
        own = [one for one in records if one.session_id == session_id and not one.tag]
        return max(own, key=lambda one: one.created_ms, default=None)

    def start(self, watcher: "_Watcher") -> None:
        task = asyncio.create_task(self._start(watcher))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Begins no more archives."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _start(self, watcher: "_Watcher") -> None:
        record = watcher.record
        try:
            project = await self._parts.store.project_named(record.project_id)
            if project is not None:
                await self._archives.start(project, record, _wanted(record))
        except DomainError as refused:
            if refused.code not in (ErrorCode.ARCHIVE_RUNNING, ErrorCode.NOBODY_CONNECTED):
                log.warning(
                    "a session that is always archived is not",
                    session=short(record.session_id[-12:]),
                    code=refused.code.value,
                )
                self._parts.schedule(RETRY_S, watcher.try_again)
        finally:
            watcher.is_starting = False


class _Watcher:
    """One session. Implements `SessionWatcher`."""

    def __init__(self, session: SessionActor, automatic: AutomaticArchives) -> None:
        self._session = session
        self._automatic = automatic
        self._is_due = True
        self._last: ArchiveRecord | None = None
        self.is_starting = False
        self._has_ended = False

    @property
    def record(self) -> SessionRecord:
        return self._session.state.record

    def on_change(self) -> None:
        has_stream = any(stream.live for stream in self._session.state.streams.values())
        running = self._automatic.running(self.record.session_id)
        self._last = running or self._last
        if running is not None and running.is_recording:
            self._is_due = False
        elif not has_stream or (self._last and self._last.reason == Reason.MAXIMUM):
            self._is_due = True
            self._last = None
        if has_stream and self._is_due and not self.is_starting:
            self._is_due, self.is_starting = False, True
            self._automatic.start(self)

    def try_again(self) -> None:
        if not self._has_ended:
            self._is_due = True
            self.on_change()

    def on_end(self) -> None:
        self._has_ended = True


def _wanted(record: SessionRecord) -> WantedArchive:
    options = record.options
    return WantedArchive(
        name=options.archive_name or "",
        stream_mode=StreamMode.AUTO,
        has_audio=True,
        has_video=True,
        tag="",
        composition=composition_of(options.archive_resolution, Layout()),
    )
