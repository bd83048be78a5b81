"""What a process of a job may report, and when; pure.

It decodes what participants send, so somebody may have taken it over. What no process of its job
reports at that moment is a `LineError`; a time is never more than what can be true, and what a file
is the server finds out by itself (`finished_files`).
"""

from collections.abc import Mapping

from sfu.egress.control import (
    DoneLine,
    FailedLine,
    LineError,
    OutputLine,
    ProgressLine,
    ReadyLine,
    RecordingLine,
    Up,
)
from sfu.egress.live_outputs import HLS, LiveOutputs

AHEAD_MS = 60_000
"""Media is this far ahead of the clock at most (`PLAUSIBLE_US` of the recordings)."""
OF_HLS = frozenset({"ready"})
"""That viewers came is not the process's to say: the HLS server sees them."""
OF_RTMP = frozenset({"connecting", "live", "offline", "error"})


class ChildReports:
    """Those of one process. `recover`: it completes what others recorded, and has no tap."""

    def __init__(self, live: LiveOutputs | None, *, recover: bool = False) -> None:
        self._outputs = {} if recover else _outputs_of(live)
        self._records = not recover
        self._is_ready = False
        self._has_begun = False

    def check(self, line: Up) -> None:
        """Errors: `LineError`."""
        match line:
            case ReadyLine():
                _require(not self._is_ready, "it was ready before")
                self._is_ready = True
            case RecordingLine():
                _require(self._is_ready and self._records, "there is nothing that it records")
                _require(not self._has_begun, "it has begun before")
                self._has_begun = True
            case OutputLine(output=output, status=status):
                _require(self._is_ready, "it is not ready")
                _require(status in self._outputs.get(output, ()), "there is no such output")
            case DoneLine():
                _require(self._is_ready, "it is not ready")
            case ProgressLine() | FailedLine():
                pass  # also of a process that waits for its folder


def _outputs_of(live: LiveOutputs | None) -> Mapping[str, frozenset[str]]:
    if live is None:
        return {}
    found = {one.id: OF_RTMP for one in live.rtmp}
    return found if live.hls is None else found | {HLS: OF_HLS}


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise LineError(otherwise)


def recorded_ms(said_ms: int, elapsed_ms: int) -> int:
    """Of the time that a process says to have recorded, what can be true `elapsed_ms` after the
    beginning of the archive."""
    return min(said_ms, max(0, elapsed_ms) + AHEAD_MS)
