"""What is shown at which time, and which frames are due."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sfu.egress.child.frames import Frame
from sfu.egress.child.layout import Box, LayoutRule, LayoutType
from sfu.egress.child.plan import (
    FREEZE_SCREEN_US,
    FREEZE_US,
    Content,
    FrameQueue,
    Stage,
    sample_at,
    tick_us,
    ticks_until,
)

FRAME, FIGURE, NO_VIDEO = Content.FRAME, Content.FIGURE, Content.NO_VIDEO


def stage(kind=LayoutType.BEST_FIT, **more):
    return Stage(640, 480, LayoutRule(kind, **more))


def shown(on, at_us=0):
    return {one.stream: one.content for one in on.at(at_us)}


def video(data=b"x", *, key=False):
    return Frame(1, "video", "vp8", key, 0, 33_333, data)


def test_times_of_images_and_samples():
    assert [tick_us(tick) for tick in (0, 1, 2, 3, 30)] == [0, 33_333, 66_666, 100_000, 1_000_000]
    assert [ticks_until(at) for at in (-1, 0, 33_332, 33_334, 1_000_000)] == [0, 1, 1, 2, 31]
    assert sample_at(1_000_000) == 48_000


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**7))
def test_every_image_is_due_once(tick):
    assert ticks_until(tick_us(tick)) in (tick, tick + 1)  # its time is rounded down
    assert ticks_until(tick_us(tick) + 1) == tick + 1


def test_a_stream_has_a_figure_until_its_first_frame():
    on = stage()
    on.add("a", 0, has_video=True)
    on.add("b", 0, has_video=False)
    assert shown(on) == {"a": FIGURE, "b": FIGURE}
    on.handle_frame("a", 40_000)
    assert shown(on, 40_000) == {"a": FRAME, "b": FIGURE}


def test_a_muted_video_has_the_figure_at_once_and_its_old_frame_never_again():
    on = stage()
    on.add("a", 0, has_video=True)
    on.handle_frame("a", 10)
    on.set_muted("a", 20, muted=True)
    assert shown(on, 20) == {"a": FIGURE}
    assert shown(on, 10 * FREEZE_US) == {"a": FIGURE}
    on.set_muted("a", 10 * FREEZE_US, muted=False)
    assert shown(on, 10 * FREEZE_US) == {"a": FIGURE}
    on.handle_frame("a", 10 * FREEZE_US + 1)
    assert shown(on, 10 * FREEZE_US + 1) == {"a": FRAME}


def test_a_frame_that_stays_too_long_gives_way_to_a_sign():
    on = stage()
    on.add("camera", 0, has_video=True)
    on.add("screen", 0, has_video=True, video_type="screen")
    on.add("never", 0, has_video=True)
    on.handle_frame("camera", 0)
    on.handle_frame("screen", 0)
    assert shown(on, FREEZE_US) == {"camera": FRAME, "screen": FRAME, "never": FIGURE}
    later = {"camera": NO_VIDEO, "screen": FRAME, "never": NO_VIDEO}
    assert shown(on, FREEZE_US + 1) == later
    assert shown(on, FREEZE_SCREEN_US + 1)["screen"] == NO_VIDEO
    on.handle_frame("camera", FREEZE_US + 1)
    assert shown(on, FREEZE_US + 2)["camera"] == FRAME


def test_streams_come_and_go_and_layouts_change():
    on = stage()
    on.add("a", 0, has_video=True)
    on.add("b", 0, has_video=True, classes=["focus"])
    assert [one.box.height for one in on.at(0)] == [240, 240]
    on.set_rule(LayoutRule(LayoutType.VERTICAL))
    assert [one.stream for one in on.at(0)] == ["b", "a"]
    on.set_classes("b", [])
    assert [one.stream for one in on.at(0)] == ["a", "b"]
    on.remove("a")
    assert on.box_of("b") == Box(0, 0, 640, 480)
    on.remove("unknown")
    on.set_classes("unknown", ["focus"])
    on.set_muted("unknown", 0, muted=True)
    on.handle_frame("unknown", 0)
    assert [one.stream for one in on.at(0)] == ["b"]


def test_who_has_no_tile_need_not_be_decoded():
    on = stage(LayoutType.PIP)
    for name in "abc":
        on.add(name, 0, has_video=True)
    assert [on.is_visible(name) for name in "abc"] == [True, True, False]
    on.remove("a")
    assert on.is_visible("c")


def test_frames_are_taken_when_they_are_due():
    queue = FrameQueue()
    for at in range(4):
        queue.add(at * 10, video(bytes([at]) * 5))
    assert queue.size_bytes == 20
    assert [at for at, _ in queue.take(15)] == [0, 10]
    assert queue.take(19) == []
    assert [at for at, _ in queue.take(30)] == [20, 30]
    assert (len(queue), queue.size_bytes) == (0, 0)


def test_without_references_nothing_is_taken_up_to_the_next_key_frame():
    queue = FrameQueue()
    queue.need_key()
    queue.add(0, video())
    queue.add(1, video())
    queue.add(2, video(key=True))
    queue.add(3, video())
    assert queue.take(1) == []
    assert queue.needs_key
    assert [at for at, _ in queue.take(3)] == [2, 3]
    assert not queue.needs_key


def test_times_of_a_track_do_not_go_back():
    queue = FrameQueue()
    for at in (10, 5, 20):
        queue.add(at, video())
    assert [at for at, _ in queue.take(20)] == [10, 10, 20]
