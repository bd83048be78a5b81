"""One clock for the audio and video of a publisher."""

import itertools

from sealroute_client.media.inbound import SenderReport
from sealroute_client.media.recording import CLOCK_HZ, Sample

from member.stream_clock import WAIT_S, StreamClock

BOTH = frozenset({"audio", "video"})
BASE_S = 1_000.0
AHEAD = {"audio": 5.0, "video": -3.0}
"""Where the clocks of the codecs begin, in seconds of the publisher's."""


def sample(kind: str, at_s: float, *, late_s: float = 0.02, reported: bool = True) -> Sample:
    """Captured at `at_s` of the publisher's clock, which began with `BASE_S` of this host."""
    own = round((at_s - AHEAD[kind]) * CLOCK_HZ[kind])
    report = SenderReport(at_s, own) if reported else None
    return Sample(
        kind, "opus" if kind == "audio" else "vp8", b"", own, BASE_S + at_s + late_s, report
    )


def test_frames_that_were_captured_together_are_placed_together() -> None:
    clock = StreamClock(BOTH)
    assert clock.place(sample("video", 1.0, late_s=0.3, reported=False)) == []
    assert clock.place(sample("audio", 1.0, late_s=0.02)) == []
    placed = clock.place(sample("video", 1.04, late_s=0.06))
    assert [at for at, _ in placed] == [1_001_020_000, 1_001_020_000, 1_001_060_000]


def test_without_reports_each_kind_is_placed_by_when_it_came() -> None:
    clock = StreamClock(BOTH)
    assert clock.place(sample("audio", 1.0, reported=False)) == []
    placed = clock.place(sample("audio", 1.0 + WAIT_S, reported=False))
    assert [at for at, _ in placed] == [1_001_020_000, 1_003_520_000]
    ((at, _),) = clock.place(sample("video", 4.0, late_s=0.05, reported=False))
    assert at == 1_004_050_000


def test_what_waits_is_placed_at_the_end_of_the_stream() -> None:
    clock = StreamClock(BOTH)
    clock.place(sample("audio", 1.0, reported=False))
    assert [at for at, _ in clock.settle()] == [1_001_020_000]
    assert clock.settle() == []


def test_a_clock_that_drifts_is_followed_slowly() -> None:
    clock = StreamClock(frozenset({"audio"}))
    fast, placed = 1.0002, []
    for number in range(60 * 50):
        true_s = number * 0.02
        own = round((true_s * fast) * 48_000)
        one = Sample("audio", "opus", b"", own, BASE_S + true_s, SenderReport(0.0, 0))
        placed += [(at / 1e6 - BASE_S - true_s) for at, _ in clock.place(one)]
    assert max(abs(error) for error in placed) < 0.006
    steps = [after - before for before, after in itertools.pairwise(placed)]
    assert max(abs(step) for step in steps) < 0.011


def test_a_clock_that_was_set_is_followed_at_once() -> None:
    clock = StreamClock(frozenset({"audio"}))
    errors = []
    for number in range(50 * 30):
        true_s = number * 0.02
        own_s = true_s if true_s < 5 else true_s - 2.0
        one = Sample(
            "audio", "opus", b"", round(own_s * 48_000), BASE_S + true_s, SenderReport(0.0, 0)
        )
        errors += [at / 1e6 - BASE_S - true_s for at, _ in clock.place(one)]
    assert abs(errors[-1]) < 0.01
