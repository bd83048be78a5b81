"""What each event makes of a broadcast's status and of its outputs: the tables, walked in full."""

from dataclasses import replace

import pytest

from signaling.domain.archiving import StreamMode
from signaling.domain.broadcasting import (
    BroadcastEvent,
    BroadcastRecord,
    BroadcastStatus,
    HlsOutput,
    OutputStatus,
    RtmpOutput,
    broadcast_details,
    step,
    with_output,
)
from signaling.domain.errors import Conflict, ErrorCode

S, E, Out = BroadcastStatus, BroadcastEvent, OutputStatus
RECORD = BroadcastRecord(
    "b", "123", "s", StreamMode.AUTO, True, True, "", "640x480", 60, 5, 5,
    hls=HlsOutput("k"),
    rtmp=(RtmpOutput("a", "rtmp://a/b", "n"), RtmpOutput("b", "rtmp://b/b", "n")),
)  # fmt: skip
TABLE = {
    E.STOP: (S.STOPPED, "user initiated"),
    E.SESSION_EMPTY: (S.STOPPED, "session ended"),
    E.SHUTDOWN: (S.STOPPED, "session ended"),
    E.MAXIMUM: (S.STOPPED, "maximum duration exceeded"),
    E.SERVER_LOST: (S.STOPPED, "Internal server failure"),
    E.CHILD_LOST: (S.FAILED, "Internal server failure"),
    E.DISK_FULL: (S.FAILED, "Not enough storage"),
}
HLS_TABLE = {
    Out.CONNECTING: {Out.READY, Out.ENDED, Out.ERROR},
    Out.READY: {Out.LIVE, Out.ENDED, Out.ERROR},
    Out.LIVE: {Out.ENDED, Out.ERROR},
}
RTMP_TABLE = {
    Out.CONNECTING: {Out.LIVE, Out.OFFLINE, Out.ERROR},
    Out.LIVE: {Out.OFFLINE, Out.ERROR},
    Out.OFFLINE: {Out.LIVE, Out.ERROR},
}


@pytest.mark.parametrize("status", S)
@pytest.mark.parametrize("event", E)
def test_each_event_does_what_the_table_says(status, event):
    record = replace(RECORD, status=status)
    if status is S.STARTED:
        after = step(record, event, 9)
        assert (after.status, after.reason, after.updated_ms) == (*TABLE[event], 9)
        assert after.created_ms == 5
    elif event is E.STOP:
        with pytest.raises(Conflict) as refused:
            step(record, event, 9)
        assert refused.value.code == ErrorCode.BROADCAST_NOT_RUNNING
    else:
        assert step(record, event, 9) is record


@pytest.mark.parametrize("before", Out)
@pytest.mark.parametrize("after", Out)
def test_each_output_becomes_what_its_table_says(before, after):
    hls = replace(RECORD, hls=HlsOutput("k", status=before))
    changed = with_output(hls, "hls", after, 9)
    assert (changed is not hls) is (after in HLS_TABLE.get(before, ()))
    assert changed.hls.status is (after if changed is not hls else before)
    rtmp = replace(RECORD, rtmp=(replace(RECORD.rtmp[0], status=before), RECORD.rtmp[1]))
    changed = with_output(rtmp, "a", after, 9)
    assert (changed is not rtmp) is (after in RTMP_TABLE.get(before, ()))
    assert changed.rtmp[1] is RECORD.rtmp[1]


def test_the_end_ends_the_outputs_but_not_those_that_failed():
    failed = replace(RECORD.rtmp[0], status=Out.ERROR)
    record = replace(RECORD, rtmp=(failed, RECORD.rtmp[1]), hls=HlsOutput("k", status=Out.ERROR))
    after = step(record, E.STOP, 9)
    assert [one.status for one in after.rtmp] == [Out.ERROR, Out.OFFLINE]
    assert after.hls.status is Out.ERROR
    assert with_output(after, "b", Out.LIVE, 9) is after


def test_a_clock_that_was_set_back_does_not_go_backwards():
    assert step(RECORD, E.STOP, 1).updated_ms == 5


def test_without_hls_a_callback_names_none():
    details = broadcast_details(replace(RECORD, hls=None, rtmp=()), None)
    assert (details["settings"], details["broadcastUrls"]) == ({}, {"rtmp": []})
