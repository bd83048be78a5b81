"""One archive that a member service records, as the server sees it: it tells the member which
streams belong to the archive, and checks what the member reports."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from msgspec import Struct

from sfu.core_api import MediaKind
from sfu.egress import member_lines as lines
from sfu.egress.child_reports import recorded_ms
from sfu.egress.composition import Layout
from sfu.egress.jobs import ArchiveJob, Finished, Job
from sfu.egress.member_reports import MemberReports
from sfu.ids import ConnectionId, StreamId
from signaling.clock import Clock
from signaling.domain.features import Feature
from signaling.egress.members import Member, Members
from signaling.egress.recorders import RecordingListener, StreamFeed, TappedSession
from signaling.sessions.client_slot import Timer
from signaling.sessions.context import Schedule

SILENCE_S = 60.0
"""A member says something every second while it records and while it finishes a file. It has as
long to join: a secret may come from a service of keys."""
LOST = "member_lost"


@dataclass(frozen=True, slots=True)
class MemberRecorder:
    """The member services of one project. Implements `Recorder`."""

    members: Members
    project: str
    clock: Clock
    schedule: Schedule
    is_elsewhere: bool = True

    def begin(
        self,
        session: TappedSession,  # noqa: ARG002 - no tap of it can be opened
        job: ArchiveJob,
        listener: RecordingListener,
    ) -> tuple[StreamFeed, Job]:
        """Errors: `EgressError` no_capacity."""
        member = self.members.choose(self.project, Feature.ARCHIVE)
        run = ArchiveRun(member, job, listener, self)
        return run, run


class ArchiveRun:
    """Implements `StreamFeed`, `Job` and `MemberRun`. It is over when the member said so, when the
    member is lost, and when nobody waits for it any more."""

    def __init__(
        self,
        member: Member,
        job: ArchiveJob,
        listener: RecordingListener,
        tools: MemberRecorder,
    ) -> None:
        self.archive = job.archive
        self.connection: ConnectionId | None = None
        self._member = member
        self._listener = listener
        self._tools = tools
        self._created_unix_ms = job.created_unix_ms
        self._reports = MemberReports()
        self._is_over = False
        self._timer: Timer | None = None
        self._streams: set[StreamId] = set()
        member.begin(self)
        self._expect_word()
        self._send(
            lines.ArchiveLine(
                job.archive, job.session, job.name, job.created_unix_ms, job.composition
            )
        )

    # --- what the member is told ------------------------------------------------------------

    def add(
        self, stream: StreamId, kinds: frozenset[MediaKind], properties: Mapping[str, object]
    ) -> None:
        self._streams.add(stream)
        given: Mapping[str, Any] = properties
        self._send(
            lines.StreamLine(
                self.archive,
                stream,
                [kind.value for kind in sorted(kinds)],
                connection_data=given.get("connectionData") or "",
                video_type=given.get("videoType") or "",
                name=given.get("name") or "",
                layout_class_list=_classes(given.get("layoutClassList", ())),
            )
        )

    def remove(self, stream: StreamId, reason: str) -> None:
        del reason
        if stream in self._streams:
            self._streams.discard(stream)
            self._send(lines.StreamGoneLine(self.archive, stream))

    def set_forwarding(self, stream: StreamId, kind: MediaKind, forwarding: bool) -> None:
        self._send(lines.ForwardLine(self.archive, stream, kind.value, forwarding))

    def write(self, event: Mapping[str, object]) -> None:
        """What `TappedStreams` says of a stream."""
        said = cast("Mapping[str, Any]", event)
        if said["event"] == "muted":
            line: Struct = lines.MutedLine(
                self.archive, said["stream"], said["kind"], said["muted"]
            )
        else:
            classes = _classes(said["layoutClassList"])
            line = lines.ClassesLine(self.archive, said["stream"], classes)
        self._send(line)

    def pause(self) -> None:
        self._send(lines.SwitchLine(self.archive, on=False))

    def resume(self) -> None:
        self._send(lines.SwitchLine(self.archive, on=True))

    def streams(self, present: Mapping[str, Mapping[str, object]]) -> None:
        """The member keeps what it was told."""

    def set_layout(self, layout: Layout) -> None:
        self._send(lines.ArrangeLine(self.archive, layout))

    def finish(self, reason: str) -> None:
        self._send(lines.StopLine(self.archive, reason))

    def end(self) -> None:
        """Streams have no end of their own: `finish` says it."""

    def close(self) -> None:
        """Nobody waits for it any more. Idempotent."""
        if not self._is_over:
            self._send(lines.StopLine(self.archive, "", abort=True))
            self._end()

    def abort(self) -> None:
        self.close()

    def _send(self, line: Struct) -> None:
        if not self._is_over:
            self._member.send(line)

    # --- what the member says ---------------------------------------------------------------

    def handle(self, line: lines.ArchiveReport) -> None:
        """Errors: `LineError`."""
        self._reports.check(line)
        self._expect_word()
        match line:
            case lines.JoinedLine(connection=name):
                connection = ConnectionId(name)
                self._listener.on_joined(connection)
                self.connection = connection
            case lines.MemberProgressLine(recorded_ms=said_ms, size_bytes=size):
                self._listener.on_progress(self._believed_ms(said_ms), size)
            case lines.MemberDoneLine(size_bytes=size, sha256=digest, recorded_ms=said_ms):
                result = Finished(None, size, bytes.fromhex(digest), self._believed_ms(said_ms))
                self._end()
                self._listener.on_finished(result)
            case lines.MemberFailedLine(code=code):
                self._fail(code)

    def _believed_ms(self, said_ms: int) -> int:
        elapsed_ms = int(self._tools.clock.unix_s() * 1000) - self._created_unix_ms
        return recorded_ms(said_ms, elapsed_ms)

    def lose(self) -> None:
        self._fail(LOST)

    def _fail(self, code: str) -> None:
        if not self._is_over:
            self._end()
            self._listener.on_failed(code, "The member service has no file.")

    def _expect_word(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._tools.schedule(SILENCE_S, self._on_silence)

    def _on_silence(self) -> None:
        """It may be there and hang: it is told to let go."""
        self._send(lines.StopLine(self.archive, "", abort=True))
        self.lose()

    def _end(self) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self._member.end(self)


def _classes(names: Iterable[str]) -> list[str]:
    """Those that a line can have: no layout names one that is longer."""
    short = (name for name in names if len(name) <= lines.MAX_CLASS_CHARS)
    return list(islice(short, lines.MAX_CLASSES))
