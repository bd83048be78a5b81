"""What a member service may report of one archive, and when; pure.

The server believes it as little as a process of its own (`child_reports`): what no member reports
at that moment is a `LineError`, and a time is never more than what can be true.
"""

from sfu.egress.control import LineError
from sfu.egress.member_lines import (
    ArchiveReport,
    JoinedLine,
    MemberDoneLine,
    MemberFailedLine,
    MemberProgressLine,
)


class MemberReports:
    """Those of one archive."""

    def __init__(self) -> None:
        self._has_joined = False
        self._has_ended = False

    def check(self, line: ArchiveReport) -> None:
        """Errors: `LineError`."""
        _require(not self._has_ended, "the archive has ended")
        match line:
            case JoinedLine():
                _require(not self._has_joined, "it had joined before")
                self._has_joined = True
            case MemberProgressLine():
                _require(self._has_joined, "it has not joined the session")
            case MemberDoneLine():
                _require(self._has_joined, "it has not joined the session")
                self._has_ended = True
            case MemberFailedLine():
                self._has_ended = True


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise LineError(otherwise)
