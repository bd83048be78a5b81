"""What the process of a render may report, and when; pure.

It speaks with a browser that runs anybody's pages, so somebody may have taken it over. What no
process reports at that moment is a `LineError`.
"""

from sfu.egress.control import LineError
from sfu.egress.render_lines import BeatLine, CrashedLine, EndLine, PublishedLine, RenderUp

MAX_CRASHES = 100
"""More than a process survives in the longest render."""


class RenderReports:
    """Those of one process."""

    def __init__(self) -> None:
        self._is_published = False
        self._crashes = 0

    def check(self, line: RenderUp) -> None:
        """Errors: `LineError`."""
        match line:
            case PublishedLine(connection=connection, stream=stream):
                _require(not self._is_published, "it is published")
                _require(bool(connection and stream), "nobody publishes nothing")
                self._is_published = True
            case CrashedLine():
                self._crashes += 1
                _require(self._crashes <= MAX_CRASHES, "no browser crashes so often")
                self._is_published = False
            case EndLine(how=how):
                _require(how != "unpublished" or self._is_published, "it was not published")
            case BeatLine():
                pass


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise LineError(otherwise)
