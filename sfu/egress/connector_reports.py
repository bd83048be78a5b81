"""What the process of an audio connection may report, and when; pure.

It decodes what participants send and parses what an application's server sends, so somebody may
have taken it over. What no process reports at that moment is a `LineError`.
"""

from sfu.egress.connector_lines import BeatLine, ConnectorUp, EndLine, OpenLine, SpokenLine
from sfu.egress.control import LineError


class ConnectorReports:
    """Those of one process."""

    def __init__(self, *, bidirectional: bool) -> None:
        self._may_speak = bidirectional
        self._is_open = False

    def check(self, line: ConnectorUp) -> None:
        """Errors: `LineError`."""
        match line:
            case OpenLine():
                _require(not self._is_open, "it was open before")
                self._is_open = True
            case SpokenLine():
                _require(self._is_open and self._may_speak, "nobody can speak, or has before")
                self._may_speak = False
            case EndLine(how=how):
                # A peer may be done with the very handshake.
                ends = ("closed", "lost") if self._is_open else ("closed", "refused")
                _require(how in ends, "it cannot end so")
            case BeatLine():
                _require(self._is_open, "it is not open")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise LineError(otherwise)
