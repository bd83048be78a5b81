"""What the process of a SIP call may report, and when; pure.

It decodes what participants send and parses what telephones send, so somebody may have taken it
over. What no process reports at that moment is a `LineError`.
"""

from sfu.egress.control import LineError
from sfu.egress.sip_lines import (
    AskLine,
    CallLine,
    DigitLine,
    RedirectLine,
    SipBeatLine,
    SipEndLine,
    SipUp,
)

DIGITS = frozenset("0123456789*#ABCD")
MAX_PLACES = 32
"""Of one call: it moves now and then."""


class SipReports:
    """Those of one process."""

    def __init__(self) -> None:
        self._is_up = False
        self._state = "dialing"
        self._asked: set[tuple[str, int]] = set()

    def check(self, line: SipUp) -> None:
        """Errors: `LineError`."""
        match line:
            case CallLine(state):
                _require(state != self._state, "it is so already")
                is_up = state in ("active", "held")
                _require(is_up or not self._is_up, "it was answered before")
                _require(state != "ringing" or self._state == "dialing", "it rang before")
                self._state, self._is_up = state, is_up
            case DigitLine(digit):
                _require(self._is_up and digit in DIGITS, "nobody can press that")
            case AskLine(host, port):
                place = (host, port)
                _require(place not in self._asked, "it has asked before")
                self._asked.add(place)
                _require(len(self._asked) <= MAX_PLACES, "no call has so many places")
            case RedirectLine():
                _require(not self._is_up, "it was answered before")
            case SipEndLine(how, status):
                _require(self._is_up or how in ("refused", "closed", "lost"), "it was not answered")
                _require((status >= 300) == (how == "refused") or how == "lost", "no such status")
            case SipBeatLine():
                pass


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise LineError(otherwise)
