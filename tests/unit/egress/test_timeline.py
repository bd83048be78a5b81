from hypothesis import given
from hypothesis import strategies as st

from sfu.egress.child.timeline import Timeline


def test_paused_time_is_not_on_the_clock():
    timeline = Timeline(1_000)
    assert timeline.place(1_500) == 500
    timeline.pause(2_000)
    assert (timeline.place(1_999), timeline.place(2_000), timeline.place(9_999)) == (
        999,
        None,
        None,
    )
    assert timeline.reached(9_999) == 1_000
    timeline.resume(5_000)
    assert (timeline.place(5_000), timeline.place(6_000)) == (1_000, 2_000)
    assert (timeline.place(1_999), timeline.place(3_000)) == (999, None)
    assert timeline.reached(3_000) == 1_000


def test_frames_a_little_older_than_the_archive_keep_their_distance():
    assert Timeline(1_000).place(400) == -600


def test_a_second_pause_and_a_second_resume_change_nothing():
    timeline = Timeline(0)
    timeline.resume(5)
    timeline.pause(10)
    timeline.pause(15)
    timeline.resume(20)
    timeline.resume(30)
    assert timeline.place(40) == 30


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 10_000)), max_size=20),
    st.lists(st.integers(-100, 20_000), min_size=2, max_size=50),
)
def test_whatever_is_paused_the_clock_never_goes_back(changes, times):
    timeline = Timeline(0)
    for is_pause, at in changes:
        (timeline.pause if is_pause else timeline.resume)(at)
    placed = [at for time in sorted(times) if (at := timeline.place(time)) is not None]
    assert placed == sorted(placed)
    reached = [timeline.reached(time) for time in sorted(times)]
    assert reached == sorted(reached)
    for time in times:
        if (at := timeline.place(time)) is not None:
            assert at == timeline.reached(time)
