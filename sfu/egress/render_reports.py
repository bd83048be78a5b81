"""What the process of a render may report, and when; pure.

It speaks with a browser that runs anybody's pages, so somebody may have taken it over. What no
process reports at that moment is a `LineError`.
"""

from sfu.egress.control import LineError
from sfu.egress.render_attempts import FRESH_BROWSERS
from sfu.egress.render_lines import (
    BeatLine,
    CrashedLine,
    EndLine,
    PublishedLine,
    RenderUp,
    ShowingLine,
)

MAX_CRASHES = FRESH_BROWSERS
"""With the one after them the process ends, too."""


class RenderReports:
    """Those of one process. `waits`: it shows nothing before it is told to; `shown`: it was."""

    def __init__(self, *, waits: bool = False) -> None:
        self.shown = False
        self._is_showing = not waits
        self._is_published = False
        self._crashes = 0

    def check(self, line: RenderUp) -> None:
        """Errors: `LineError`."""
        match line:
            case ShowingLine():
                _require(self.shown and not self._is_showing, "nobody told it to show the page")
                self._is_showing = True
            case PublishedLine(connection=connection, stream=stream):
                _require(not self._is_published, "it is published")
                _require(self._is_showing, "it waits")
                _require(bool(connection and stream), "nobody publishes nothing")
                self._is_published = True
            case CrashedLine():
                self._crashes += 1
                _require(self._crashes <= MAX_CRASHES, "no browser crashes so often")
                _require(not self._is_published, "a process ends with what it published")
            case EndLine(how=how):
                _require(how != "unpublished" or self._is_published, "it was not published")
            case BeatLine():
                pass


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise LineError(otherwise)
