"""What each event makes of an archive's status: the table of the design, walked in full."""

from dataclasses import replace

import pytest

from signaling.domain.archiving import (
    ArchiveEffect,
    ArchiveEvent,
    ArchiveRecord,
    ArchiveStatus,
    Reason,
    StreamMode,
    archive_details,
    step,
)
from signaling.domain.errors import Conflict, ErrorCode

S, E, F, R = ArchiveStatus, ArchiveEvent, ArchiveEffect, Reason
RECORD = ArchiveRecord("a", "123", "s", "n", StreamMode.AUTO, True, True, "", 5, 5)
EARLIER = "earlier"

# Status → event → (next status, reason; None: as it was).
TABLE = {
    S.STARTED: {
        E.LAST_STREAM_LEFT: (S.PAUSED, None),
        E.STOP: (S.STOPPED, R.USER),
        E.SESSION_EMPTY: (S.STOPPED, R.SESSION),
        E.SHUTDOWN: (S.STOPPED, R.SESSION),
        E.MAXIMUM: (S.STOPPED, R.MAXIMUM),
        E.IDLE: (S.STOPPED, R.IDLE),
        E.DISK_FULL: (S.STOPPED, R.STORAGE),
        E.CHILD_LOST: (S.STOPPED, R.INTERNAL),
        E.FILE_LOST: (S.FAILED, R.INTERNAL),
        E.NOTHING_RECORDED: (S.FAILED, R.INTERNAL),
        E.NO_ROOM: (S.FAILED, R.STORAGE),
        E.MEMBER_LOST: (S.FAILED, R.MEMBER_LOST),
        E.MEMBER_REFUSED: (S.FAILED, R.MEMBER_REFUSED),
    },
    S.PAUSED: {
        E.STREAM_CAME: (S.STARTED, None),
        E.STOP: (S.STOPPED, R.USER),
        E.SESSION_EMPTY: (S.STOPPED, R.SESSION),
        E.SHUTDOWN: (S.STOPPED, R.SESSION),
        E.MAXIMUM: (S.STOPPED, R.IDLE),
        E.IDLE: (S.STOPPED, R.IDLE),
        E.DISK_FULL: (S.STOPPED, R.STORAGE),
        E.CHILD_LOST: (S.STOPPED, R.INTERNAL),
        E.FILE_LOST: (S.FAILED, R.INTERNAL),
        E.NOTHING_RECORDED: (S.FAILED, R.INTERNAL),
        E.NO_ROOM: (S.FAILED, R.STORAGE),
        E.MEMBER_LOST: (S.FAILED, R.MEMBER_LOST),
        E.MEMBER_REFUSED: (S.FAILED, R.MEMBER_REFUSED),
    },
    S.STOPPED: {
        E.FILE_DONE: (S.AVAILABLE, None),
        E.FILE_KEPT: (S.UPLOADED, None),
        E.NOTHING_RECORDED: (S.FAILED, None),
        E.FILE_LOST: (S.FAILED, R.INTERNAL),
        E.NO_ROOM: (S.FAILED, R.STORAGE),
        E.MEMBER_LOST: (S.FAILED, R.MEMBER_LOST),
        E.MEMBER_REFUSED: (S.FAILED, R.MEMBER_REFUSED),
    },
    S.AVAILABLE: {E.KEPT_LONG: (S.EXPIRED, None), E.DELETE: (S.AVAILABLE, None)},
    S.UPLOADED: {E.DELETE: (S.UPLOADED, None)},
    S.EXPIRED: {E.DELETE: (S.EXPIRED, None)},
    S.FAILED: {E.DELETE: (S.FAILED, None)},
}


@pytest.mark.parametrize("event", list(E))
@pytest.mark.parametrize("status", list(S))
def test_every_event_does_to_every_status_what_the_table_says(status, event) -> None:
    before = replace(RECORD, status=status, reason=EARLIER)
    arrow = TABLE[status].get(event)
    refusals = {E.STOP: "archive_not_recording", E.DELETE: "archive_not_deletable"}
    if arrow is None and event in refusals:
        with pytest.raises(Conflict) as refused:
            step(before, event, 9)
        assert refused.value.code == ErrorCode(refusals[event])
        return
    after, effects = step(before, event, 9)
    if arrow is None:
        assert after is before
        assert effects == ()
        return
    status_after, reason = arrow
    assert (after.status, after.updated_ms) == (status_after, 9)
    assert after.reason == (EARLIER if reason is None else reason.value)
    assert after.created_ms == before.created_ms


def test_what_stops_is_finished_and_what_goes_takes_its_files_with_it() -> None:
    for status, arrows in TABLE.items():
        for event, (after, _) in arrows.items():
            _, effects = step(replace(RECORD, status=status), event, 9)
            records = status in (S.STARTED, S.PAUSED)
            assert (F.FINISH in effects) is (records and after in (S.STOPPED, S.FAILED))
            # Of what is kept elsewhere there is an empty folder here.
            gone = after in (S.FAILED, S.EXPIRED, S.UPLOADED) or event is E.DELETE
            assert (F.DELETE_FILES in effects) is gone
            assert (F.FORGET in effects) is (event is E.DELETE)
    assert step(RECORD, E.LAST_STREAM_LEFT, 9)[1] == (F.PAUSE,)
    assert step(replace(RECORD, status=S.PAUSED), E.STREAM_CAME, 9)[1] == (F.RESUME,)


def test_a_clock_that_goes_back_does_not_make_an_archive_younger() -> None:
    after, _ = step(RECORD, E.STOP, 2)
    assert after.updated_ms == RECORD.updated_ms


def test_a_callback_has_the_members_of_the_vendors_documentation() -> None:
    done = replace(
        RECORD, status=S.AVAILABLE, recorded_ms=64_400, size_bytes=7, sha256="q0Zt=", tag="t"
    )
    assert archive_details(done, "https://node/x") == {
        "id": "a",
        "status": "available",
        "name": "n",
        "reason": "",
        "partnerId": 123,
        "createdAt": 5,
        "updatedAt": 5,
        "size": 7,
        "duration": 64,
        "outputMode": "individual",
        "streamMode": "auto",
        "hasAudio": True,
        "hasVideo": True,
        "url": "https://node/x",
        "sha256sum": "q0Zt=",
        "password": "",
        "certificate": "",
        "multiArchiveTag": "t",
    }
