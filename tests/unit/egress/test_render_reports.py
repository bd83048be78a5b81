"""What the process of a render may report, and how often its browsers may fail."""

import pytest

from sfu.egress.control import LineError, LineWriter
from sfu.egress.render_attempts import STEADY_S, Attempts
from sfu.egress.render_lines import (
    BeatLine,
    CrashedLine,
    EndLine,
    PublishedLine,
    RenderLine,
    RenderUpReader,
    ShowingLine,
)
from sfu.egress.render_reports import MAX_CRASHES, RenderReports

PUBLISHED = PublishedLine("connection", "stream")


def checked(*lines, waits=False, shown=False):
    reports = RenderReports(waits=waits)
    reports.shown = shown
    for line in lines:
        reports.check(line)


def test_a_page_is_published_once_by_a_browser_that_began():
    checked(BeatLine(), CrashedLine(), CrashedLine(), PUBLISHED, BeatLine(), EndLine("crashed"))
    with pytest.raises(LineError):
        checked(PUBLISHED, PUBLISHED)


def test_a_process_that_waits_shows_the_page_at_the_word_of_the_server_and_not_before():
    checked(BeatLine(), ShowingLine(), PUBLISHED, waits=True, shown=True)
    for lines in [(ShowingLine(),), (PUBLISHED,)]:
        with pytest.raises(LineError):
            checked(*lines, waits=True)
    with pytest.raises(LineError):
        checked(PUBLISHED, waits=True, shown=True)
    for waits in (False, True):
        with pytest.raises(LineError):
            checked(ShowingLine(), ShowingLine(), waits=waits, shown=True)


@pytest.mark.parametrize(
    "lines",
    [
        (PublishedLine("", "stream"),),
        (PublishedLine("connection", ""),),
        (EndLine("unpublished"),),
        (PUBLISHED, CrashedLine()),
        tuple(CrashedLine() for _ in range(MAX_CRASHES + 1)),
    ],
)
def test_what_no_process_reports(lines):
    with pytest.raises(LineError):
        checked(*lines)


@pytest.mark.parametrize(
    "line",
    [
        PublishedLine("c" * 65, "s"),
        EndLine("page", "x" * 201),
        EndLine("page", "a\nb"),
        BeatLine({"other": 1}),
        BeatLine({"bytes": -1}),
    ],
)
def test_what_is_no_line(line):
    with pytest.raises(LineError):
        RenderUpReader().decode(LineWriter().encode(line))


def test_a_job_does_not_show_its_secrets():
    job = RenderLine(
        *("/c", "/b", "https://a.test/?secret", "1", "2_s", "token", "n"),
        *(1280, 720, 20, 20, 2_048, True, "", ("127.0.0.1", 1), False, []),
    )
    assert "secret" not in repr(job)
    assert "token" not in repr(job)


def test_two_fresh_browsers_and_no_more():
    attempts = Attempts()
    assert [attempts.failed() for _ in range(3)] == [True, True, False]
    attempts = Attempts()
    attempts.failed()
    attempts.published(0)
    assert [attempts.failed() for _ in range(3)] == [True, True, False]


def test_a_browser_may_crash_once_and_again_after_a_steady_time():
    attempts = Attempts()
    attempts.published(0)
    assert attempts.crashed(5)
    attempts.published(6)
    assert not attempts.crashed(7)
    steady = Attempts()
    for start_s in (0, 100, 200):
        steady.published(start_s)
        assert steady.crashed(start_s + STEADY_S)
