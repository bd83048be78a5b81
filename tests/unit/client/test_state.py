"""Mismatch, match and the switch of senders (docs/e2ee.md sections 8 and 9), in virtual time."""

from sealroute_client.e2ee.identity import Outcome
from sealroute_client.e2ee.state import DecryptionState, Notice

MISMATCH = [Notice.MISMATCH, Notice.REPORT_MISMATCH]


def fail(state: DecryptionState, track: str, times: int, start_s: float, step_s: float = 0.1):
    return [
        notice
        for index in range(times)
        for notice in state.on_frame(track, Outcome.AUTH, start_s + index * step_s)
    ]


def test_five_failures_over_400_ms_are_a_mismatch_reported_once() -> None:
    state = DecryptionState()
    assert fail(state, "video", 4, 0.0) == []
    assert state.on_frame("video", Outcome.SECRET, 0.41) == MISMATCH
    assert fail(state, "video", 20, 1.0) == []


def test_the_server_gets_the_counts_again_every_five_seconds_while_frames_fail() -> None:
    state = DecryptionState()
    reported = [
        (notice, index)
        for index in range(121)
        for notice in state.on_frame("video", Outcome.AUTH, index / 10)
    ]
    assert reported == [
        (Notice.MISMATCH, 4),
        (Notice.REPORT_MISMATCH, 4),
        (Notice.REPORT_MISMATCH, 54),
        (Notice.REPORT_MISMATCH, 104),
    ]
    assert state.failed == 121


def test_many_failures_within_400_ms_are_no_mismatch() -> None:
    assert fail(DecryptionState(), "video", 30, 0.0, 0.01) == []


def test_one_success_in_between_starts_the_count_again() -> None:
    state = DecryptionState()
    fail(state, "video", 4, 0.0)
    assert state.on_frame("video", Outcome.OK, 0.4) == []
    assert fail(state, "video", 4, 0.5) == []


def test_replays_are_neither_failure_nor_success() -> None:
    state = DecryptionState()
    for index in range(50):
        assert state.on_frame("video", Outcome.REPLAY, index / 10) == []
    assert (state.decrypted, state.failed) == (0, 0)


def test_after_a_local_change_a_mismatch_needs_two_seconds() -> None:
    state = DecryptionState()
    state.on_secret_change(0.0)
    assert fail(state, "video", 20, 0.0) == []
    assert state.on_frame("video", Outcome.AUTH, 2.0) == MISMATCH


def test_a_match_waits_forevery_track_that_failed_but_the_server_hears_at_once() -> None:
    state = DecryptionState()
    fail(state, "audio", 6, 0.0)
    fail(state, "video", 6, 0.0)
    assert state.on_frame("audio", Outcome.OK, 2.0) == [Notice.REPORT_OK]
    assert state.on_frame("video", Outcome.OK, 2.1) == [Notice.MATCH]
    assert state.on_frame("video", Outcome.OK, 2.2) == []


def test_a_new_secret_asks_the_server_for_withheld_video_and_may_fail_again() -> None:
    state = DecryptionState()
    fail(state, "video", 6, 0.0)
    assert state.on_secret_change(10.0) == [Notice.REPORT_OK]
    assert fail(state, "video", 30, 10.0) == [Notice.REPORT_MISMATCH]


def test_there_is_no_match_without_a_mismatch() -> None:
    state = DecryptionState()
    assert state.on_frame("video", Outcome.OK, 0.0) == []
