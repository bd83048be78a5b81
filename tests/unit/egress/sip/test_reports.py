"""A process of a call that says what none says is believed nothing."""

import pytest

from sfu.egress.control import LineError
from sfu.egress.sip_lines import (
    AskLine,
    CallLine,
    DigitLine,
    RedirectLine,
    SipBeatLine,
    SipEndLine,
)
from sfu.egress.sip_reports import MAX_PLACES, SipReports

UP = [CallLine("ringing"), CallLine("active")]
HONEST = [
    [SipBeatLine({}), *UP, DigitLine("5"), CallLine("held"), CallLine("active"),
     AskLine("192.0.2.1", 5), SipEndLine("closed")],
    [CallLine("active"), SipEndLine("silent")],
    [CallLine("ringing"), CallLine("early"), CallLine("active")],
    [CallLine("early"), SipEndLine("refused", 486, "Busy Here")],
    [CallLine("active"), SipEndLine("lost", 408, "Request Timeout")],
    [CallLine("ringing"), SipEndLine("refused", 486, "Busy Here")],
    [RedirectLine("sip:a@b")],
    [SipEndLine("lost", 503)],
    [SipEndLine("closed")],
    [CallLine("active"), SipEndLine("refused", 488)],
]  # fmt: skip
LIES = [
    [DigitLine("5")],
    [*UP, DigitLine("x")],
    [*UP, CallLine("ringing")],
    [*UP, CallLine("early")],
    [CallLine("early"), CallLine("ringing")],
    [CallLine("early"), SipEndLine("silent")],
    [*UP, CallLine("active")],
    [*UP, RedirectLine("sip:a@b")],
    [SipEndLine("silent")],
    [SipEndLine("too_long")],
    [SipEndLine("refused", 200)],
    [*UP, SipEndLine("closed", 486)],
    [AskLine("a", 1), AskLine("a", 1)],
    [AskLine("a", port) for port in range(1, MAX_PLACES + 2)],
]


@pytest.mark.parametrize("lines", HONEST)
def test_what_processes_say(lines):
    reports = SipReports()
    for line in lines:
        reports.check(line)


@pytest.mark.parametrize("lines", LIES)
def test_what_no_process_says(lines):
    reports = SipReports()
    for line in lines[:-1]:
        reports.check(line)
    with pytest.raises(LineError):
        reports.check(lines[-1])
