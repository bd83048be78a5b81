"""What the process of an audio connection may say, and when: anything else is somebody else's."""

import pytest

from sfu.egress.connector_lines import BeatLine, EndLine, OpenLine, SpokenLine
from sfu.egress.connector_reports import ConnectorReports
from sfu.egress.control import LineError

OPEN, SPOKEN, BEAT = OpenLine(), SpokenLine(), BeatLine()


@pytest.mark.parametrize(
    "lines",
    [
        [OPEN, BEAT, SPOKEN, BEAT, EndLine("lost")],
        [OPEN, SPOKEN, EndLine("closed")],
        [EndLine("refused")],
        [EndLine("closed")],
    ],
)
def test_what_a_process_says_is_believed(lines):
    reports = ConnectorReports(bidirectional=True)
    for line in lines:
        reports.check(line)


@pytest.mark.parametrize(
    ("lines", "lie"),
    [
        ([OPEN], OPEN),
        ([], SPOKEN),
        ([OPEN, SPOKEN], SPOKEN),
        ([], BEAT),
        ([], EndLine("lost")),
        ([OPEN], EndLine("refused")),
    ],
)
def test_what_none_says_is_a_lie(lines, lie):
    reports = ConnectorReports(bidirectional=True)
    for line in lines:
        reports.check(line)
    with pytest.raises(LineError):
        reports.check(lie)


def test_nobody_speaks_where_nobody_may():
    reports = ConnectorReports(bidirectional=False)
    reports.check(OPEN)
    with pytest.raises(LineError):
        reports.check(SPOKEN)
