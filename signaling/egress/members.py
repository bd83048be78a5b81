"""The member services that are connected: what each offers, and which of them records what.

A member service is a customer's own program. It records encrypted sessions as one of their members,
and is of one project: the credential that it came with. The server believes it as little as a
process of its own, and what it reports is of its own archives alone.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

import structlog
from msgspec import Struct

from sfu.egress import member_lines as lines
from sfu.egress.control import LineError
from sfu.egress.jobs import EgressError
from sfu.ids import ConnectionId, short
from signaling.domain.errors import ErrorCode, Unavailable
from signaling.domain.features import Feature
from signaling.metrics import Metrics

log = structlog.get_logger(__name__)

PER_PROJECT = 8
"""Enough for machines in two places; each is a WebSocket of an authenticated application."""
AT_ALL = 1_024
LINES_AT_ONCE = 200
LINES_PER_S = 100
"""An archive has a line a second, and a member some dozens of archives."""
FULL = "This server has as many member services as it can have."


class MemberRun(Protocol):
    """One archive that a member records."""

    @property
    def archive(self) -> str: ...
    @property
    def connection(self) -> ConnectionId | None:
        """As which the member is in the session."""

    def handle(self, line: lines.ArchiveReport) -> None:
        """Errors: `LineError`."""

    def lose(self) -> None:
        """The member is gone."""


@dataclass(frozen=True, slots=True)
class MemberSocket:
    """Its WebSocket. `send` never waits; a member that does not read is closed."""

    send: Callable[[str], None]
    close: Callable[[], None]


class Member:
    """One that is connected. Owned by `Members`."""

    def __init__(
        self, project: str, features: Collection[str], socket: MemberSocket, began_s: float
    ) -> None:
        self.project = project
        self.features = frozenset(features)
        self.runs: dict[str, MemberRun] = {}
        self._socket = socket
        self._began_s = began_s
        self._count = 0
        self._was: dict[str, None] = {}
        """Archives that are over here; it may not have heard of it yet."""

    def send(self, line: Struct) -> None:
        self._socket.send(lines.encode(line))

    def close(self) -> None:
        self._socket.close()

    def handle(self, text: str, now_s: float) -> None:
        """Errors: `LineError`; then it is no member service."""
        self._count += 1
        if self._count > LINES_AT_ONCE + LINES_PER_S * (now_s - self._began_s):
            raise LineError("it floods")
        line = lines.read_from_member(text)
        if isinstance(line, lines.OfferLine):
            raise LineError("it made its offer before")
        run = self.runs.get(line.archive)
        if run is not None:
            run.handle(line)
        elif line.archive not in self._was:
            raise LineError("the archive is not its own")

    def begin(self, run: MemberRun) -> None:
        self.runs[run.archive] = run

    def end(self, run: MemberRun) -> None:
        if self.runs.pop(run.archive, None) is not None:
            self._was[run.archive] = None
            if len(self._was) > LINES_AT_ONCE:
                del self._was[next(iter(self._was))]

    def lose(self) -> None:
        for run in list(self.runs.values()):
            run.lose()


class Members:
    """Used on the event loop only."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._connected: list[Member] = []

    def register(self, member: Member) -> None:
        """Errors: `no_capacity`."""
        own = sum(one.project == member.project for one in self._connected)
        if own >= PER_PROJECT or len(self._connected) >= AT_ALL:
            raise Unavailable(ErrorCode.NO_CAPACITY, FULL)
        self._connected.append(member)
        self._metrics.member_services.set(len(self._connected))
        log.info("a member service came", project=member.project, features=sorted(member.features))

    def remove(self, member: Member) -> None:
        """It is gone, and what it recorded with it."""
        if member in self._connected:
            self._connected.remove(member)
            self._metrics.member_services.set(len(self._connected))
            log.info("a member service left", project=member.project)
            member.lose()

    def count_lie(self, lie: LineError) -> None:
        self._metrics.member_lies.inc()
        log.warning("a member service reported what is not true", lie=str(lie))

    def offers(self, project: str, feature: Feature) -> bool:
        return any(True for _ in self._fit(project, feature))

    def choose(self, project: str, feature: Feature) -> Member:
        """The one that has the least to do. Errors: `EgressError` no_capacity."""
        found = min(self._fit(project, feature), key=lambda one: len(one.runs), default=None)
        if found is None:
            raise EgressError("no_capacity", "No member service of the project is connected.")
        return found

    def _fit(self, project: str, feature: Feature) -> Iterable[Member]:
        return (
            one
            for one in self._connected
            if one.project == project and feature.value in one.features
        )

    def recorders(self) -> frozenset[ConnectionId]:
        """The connections that are members' own: where nobody else is, a session is empty."""
        runs = (run for member in self._connected for run in member.runs.values())
        return frozenset(run.connection for run in runs if run.connection is not None)

    def close(self) -> None:
        """The server ends."""
        for member in list(self._connected):
            log.debug("a member service is closed", project=short(member.project))
            member.close()
