"""What a process that captions may report, and when; pure.

It decodes what participants send, so somebody may have taken it over. What no process reports at
that moment is a `LineError`. Whether a stream is one of the tap's is judged by whoever fills it.
"""

from sfu.egress.caption_lines import CaptionLine, CaptionUp, ListeningLine
from sfu.egress.control import LineError


class CaptionReports:
    """Those of one process."""

    def __init__(self, *, partials: bool) -> None:
        self._partials = partials
        self._is_listening = False

    def check(self, line: CaptionUp) -> None:
        """Errors: `LineError`."""
        if isinstance(line, ListeningLine):
            if self._is_listening:
                raise LineError("it listened before")
            self._is_listening = True
        elif not self._is_listening:
            raise LineError("it does not listen")
        elif isinstance(line, CaptionLine) and not line.is_final and not self._partials:
            raise LineError("nobody wants captions that are not final")
