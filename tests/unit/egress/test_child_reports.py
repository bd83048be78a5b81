"""What a process of a job may report: a liar gets nothing for it."""

import hashlib
import os
import sys
from pathlib import Path
from threading import Event

import pytest

from config.settings import EgressSettings
from sfu.egress.child_reports import AHEAD_MS, ChildReports, recorded_ms
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
from sfu.egress.finished_files import measure
from sfu.egress.live_outputs import HlsTarget, LiveOutputs, RtmpTarget
from sfu.egress.supervisor import Supervisor
from tests.unit.egress.jobs import OPEN_TAPS, Listener, Tap, job_in
from tests.unit.egress.untrue_zygote import LIES, MOST

DONE, FAILED = DoneLine(1), FailedLine("storage", "text")
READY, BEGUN, PROGRESS = ReadyLine(7), RecordingLine(0), ProgressLine(1, 1)
LIVE = LiveOutputs(HlsTarget(2_000), (RtmpTarget("one", "rtmp://there/app", "name"),))
HLS_READY = OutputLine("hls", "ready")
TRUE = {
    "an archive": (None, False, [PROGRESS, READY, BEGUN, PROGRESS, DONE]),
    "without a frame": (None, False, [READY, PROGRESS, FAILED]),
    "no room for the first file": (None, False, [FAILED]),
    "a broadcast": (LIVE, False, [READY, OutputLine("one", "connecting"), BEGUN, HLS_READY, DONE]),
    "a completion": (None, True, [PROGRESS, READY, PROGRESS, DONE]),
}
UNTRUE = {
    "ready twice": (None, False, [READY, READY]),
    "begun before it is ready": (None, False, [BEGUN]),
    "begun twice": (None, False, [READY, BEGUN, BEGUN]),
    "begun, and it completes": (None, True, [READY, BEGUN]),
    "done before it is ready": (None, False, [DONE]),
    "an output of an archive": (None, False, [READY, HLS_READY]),
    "an output of nobody": (LIVE, False, [READY, OutputLine("two", "live")]),
    "an output before it is ready": (LIVE, False, [HLS_READY]),
    "viewers": (LIVE, False, [READY, OutputLine("hls", "live")]),
    "a ready RTMP server": (LIVE, False, [READY, OutputLine("one", "ready")]),
    "outputs, and it completes": (LIVE, True, [READY, HLS_READY]),
}


@pytest.fixture(autouse=True)
def taps():
    yield
    while OPEN_TAPS:
        OPEN_TAPS.pop().close()


def reported(live, recover, lines):
    reports = ChildReports(live, recover=recover)
    for line in lines:
        reports.check(line)


@pytest.mark.parametrize("case", TRUE)
def test_what_processes_report_is_taken(case):
    reported(*TRUE[case])


@pytest.mark.parametrize("case", UNTRUE)
def test_what_no_process_reports_then_is_a_lie(case):
    live, recover, lines = UNTRUE[case]
    reported(live, recover, lines[:-1])
    with pytest.raises(LineError):
        reported(live, recover, lines)


def test_every_line_of_a_process_has_its_place():
    assert {type(line) for _, _, lines in TRUE.values() for line in lines} == set(Up.__args__)


def test_no_more_is_recorded_than_time_has_passed():
    assert recorded_ms(5_000, 5_000) == 5_000
    assert recorded_ms(MOST, 5_000) == 5_000 + AHEAD_MS
    assert recorded_ms(MOST, -5_000) == AHEAD_MS


NO_FILES = {
    "nothing": lambda file, _: None,
    "a link": lambda file, there: file.symlink_to(there),
    "a second name": lambda file, there: file.hardlink_to(there),
    "a folder": lambda file, _: file.mkdir(),
    "a pipe": lambda file, _: os.mkfifo(file),
    "an empty file": lambda file, _: file.touch(),
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_of_its_own_is_no_archive(tmp_path, kind):
    (tmp_path / "there").write_text("somebody else's")
    NO_FILES[kind](tmp_path / "archive.zip", tmp_path / "there")
    with pytest.raises(LineError):
        measure(tmp_path / "archive.zip", Event())


def test_a_checksum_that_nobody_waits_for_ends(tmp_path):
    (tmp_path / "archive.zip").write_bytes(bytes(3_000_000))
    stop = Event()
    assert measure(tmp_path / "archive.zip", stop).size_bytes == 3_000_000
    stop.set()
    with pytest.raises(LineError):
        measure(tmp_path / "archive.zip", stop)


async def reported_by(kind, folder):
    """What becomes of an archive whose processes tell this lie."""
    program = (sys.executable, str(Path(__file__).with_name("untrue_zygote.py")), kind)
    egress, listener = Supervisor(EgressSettings(), program=program), Listener()
    egress.start(job_in(folder), Tap().child_end, listener)
    await listener.end()
    counters = egress.counters()
    await egress.close()
    return listener.events, counters


@pytest.mark.parametrize("kind", [kind for kind in LIES if kind != "numbers"])
async def test_a_file_that_a_process_did_not_make_is_no_archive(tmp_path, kind):
    (tmp_path / "there").write_text("somebody else's")
    folder = tmp_path / "job"
    folder.mkdir()
    events, counters = await reported_by(kind, folder)
    assert [event[:2] for event in events] == [("failed", "child_lost")]
    assert counters["lies"] == 5
    assert (tmp_path / "there").read_text() == "somebody else's"


async def test_the_server_measures_what_a_process_says(tmp_path):
    events, counters = await reported_by("numbers", tmp_path)
    names = [event[0] for event in events]
    assert names == ["recording", "progress", "finished"]
    assert 0 < events[1][1] <= 2 * AHEAD_MS
    result = events[2][1]
    assert result.size_bytes == len("its own")
    assert result.sha256 == hashlib.sha256(b"its own").digest()
    assert 0 < result.recorded_ms <= 2 * AHEAD_MS
    assert "lies" not in counters
