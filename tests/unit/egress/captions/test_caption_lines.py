"""What a process of captions may say, and when: anything else is somebody else's."""

import msgspec
import pytest

from sfu.egress.caption_lines import (
    MAX_CAPTION_CHARS,
    CaptionBeatLine,
    CaptionLine,
    CaptionUpReader,
    ListeningLine,
)
from sfu.egress.caption_reports import CaptionReports
from sfu.egress.control import LineError

LISTENING, BEAT = ListeningLine(), CaptionBeatLine()
FINAL, PARTIAL = CaptionLine("s", "hello", is_final=True), CaptionLine("s", "hel", is_final=False)


def test_what_a_process_says_is_believed():
    reports = CaptionReports(partials=True)
    for line in (LISTENING, BEAT, PARTIAL, FINAL, BEAT):
        reports.check(line)


@pytest.mark.parametrize(
    ("lines", "lie"), [([LISTENING], LISTENING), ([], BEAT), ([], FINAL), ([LISTENING], PARTIAL)]
)
def test_what_none_says_is_a_lie(lines, lie):
    reports = CaptionReports(partials=False)
    for line in lines:
        reports.check(line)
    with pytest.raises(LineError):
        reports.check(lie)


@pytest.mark.parametrize(
    "body",
    [
        {"line": "caption", "stream": "s", "text": "", "is_final": True},
        {"line": "caption", "stream": "s", "text": "x" * (MAX_CAPTION_CHARS + 1), "is_final": True},
        {"line": "caption", "stream": "s", "text": "a\nb", "is_final": True},
        {"line": "caption", "stream": "s", "text": "\x1b[2J", "is_final": True},
        {"line": "caption", "stream": "", "text": "x", "is_final": True},
        {"line": "caption", "stream": "s" * 65, "text": "x", "is_final": True},
        {"line": "caption", "stream": "s", "text": "x", "is_final": 1},
        {"line": "caption", "stream": "s", "text": ["x"], "is_final": True},
        {"line": "caption beat", "counts": {"secrets": 1}},
        {"line": "connect"},
    ],
)
def test_what_is_no_caption_is_no_line(body):
    with pytest.raises(LineError):
        CaptionUpReader().decode(msgspec.json.encode({"n": 1, "body": body}))


def test_a_text_is_never_in_a_trace():
    assert "hello" not in repr(FINAL)
