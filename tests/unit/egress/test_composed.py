"""Frames of several streams in, one file out: decoded by FFmpeg, its tiles and times checked."""

from itertools import pairwise

import numpy as np
import pytest

from sfu.egress.composition import Layout
from tests.unit.egress.composing import (
    HEIGHT,
    ORIGIN_US,
    WIDTH,
    Composing,
    color,
    composition,
    tone,
)
from tests.unit.egress.media import added, json_item

S = 1_000_000
FIGURE_GREY, BLACK = 52, 16


def near(found, luma, by=6):
    return bool(np.all(np.abs(found - luma) <= by))


def steps(times):
    """How far images are apart, in images."""
    return {round((later - earlier) * 30, 3) for earlier, later in pairwise(times)}


def test_two_streams_are_in_one_file_with_every_frame_and_all_audio(tmp_path):
    film = (
        Composing(tmp_path)
        .play(
            json_item(added("a")),
            json_item(added("b", video_ssrc=3, audio_ssrc=4)),
            *color(80, 90),
            *tone(0.2, 150),
            *color(200, 90, ssrc=3),
        )
        .finish()
    )
    assert abs(len(film.frames) - 90) <= 1
    assert film.times[0] == 0
    assert steps(film.times) == {1}
    assert abs(film.result.recorded_ms - 3_000) <= 34
    last = film.frames[-1][1]
    assert last.shape == (HEIGHT, WIDTH)
    # Two rows of 212x120, with 4:3 in them.
    upper, lower = last[:118, 82:238], last[122:, 82:238]
    assert near(upper, 80)
    assert near(lower, 200)
    assert near(last[:, :76], BLACK)
    assert near(last[:, 244:], BLACK)
    assert abs(len(film.audio) - 3 * 48_000) <= 2_048
    loudness = np.abs(film.audio[4_800:134_400]).reshape(-1, 480).max(axis=1)
    assert loudness.min() > 0.1


@pytest.mark.parametrize("codec", ["vp9", "h264", "av1"])
def test_every_codec_is_composed(tmp_path, codec):
    film = (
        Composing(tmp_path)
        .play(json_item(added("a", codec=codec)), *color(150, 20, codec=codec))
        .finish()
    )
    assert near(film.frames[-1][1], 150)


def test_a_flash_and_a_beep_of_the_same_moment_stay_together(tmp_path):
    flashes = [235 if number % 30 == 15 else 40 for number in range(120)]
    beeps = [0.5 if number % 50 == 25 else 0.0 for number in range(200)]
    film = (
        Composing(tmp_path)
        .play(json_item(added("a")), *color(flashes, 120), *tone(beeps, 200))
        .finish()
    )
    seen = [time for time, luma in film.frames if luma.mean() > 150]
    loud = np.flatnonzero(np.abs(film.audio) > 0.1) / 48_000
    assert len(seen) == 4
    for time in seen:
        beep = loud[np.argmin(np.abs(loud - time))]
        onset = min(one for one in loud if abs(one - beep) < 0.03)
        assert abs(onset - time) <= 0.04


def test_a_stream_that_leaves_and_one_that_is_muted(tmp_path):
    film = (
        Composing(tmp_path)
        .play(
            json_item(added("a")),
            json_item(added("b", video_ssrc=3, audio_ssrc=4)),
            *color(80, 30),
            *color(200, 120, ssrc=3),
            json_item({"event": "muted", "stream": "a", "kind": "video", "muted": True}, S),
            json_item({"event": "streamRemoved", "stream": "a", "reason": ""}, 2 * S),
        )
        .finish()
    )
    assert near(film.at(0.9)[4:110, 84:236], 80)
    assert near(film.at(1.5)[4:20, 60:100], FIGURE_GREY)
    assert near(film.at(1.5)[124:236, 84:236], 200)
    assert near(film.at(2.5), 200)


def test_a_layout_is_changed_and_a_class_moves_a_stream(tmp_path):
    job = Composing(tmp_path, composition("horizontalPresentation"))
    job.play(
        json_item(added("a", audio_ssrc=None)),
        json_item(added("b", video_ssrc=3, audio_ssrc=None)),
        *color(80, 30),
        *color(200, 30, ssrc=3),
    )
    job.play(
        json_item({"event": "layoutClassList", "stream": "b", "layoutClassList": ["focus"]}, S),
        *color(80, 30, start_us=S),
        *color(200, 30, ssrc=3, start_us=S),
    )
    job.archive.set_layout(Layout("pip"), ORIGIN_US + 2 * S)
    film = job.play(
        *color(80, 30, start_us=2 * S), *color(200, 30, ssrc=3, start_us=2 * S)
    ).finish()
    middle, small = (slice(60, 120), slice(100, 200)), (slice(196, 236), slice(4, 56))
    corner = (slice(178, 228), slice(238, 308))
    assert near(film.at(0.9)[middle], 80)
    assert near(film.at(0.9)[small], 200)
    assert near(film.at(1.9)[middle], 200)
    assert near(film.at(1.9)[small], 80)
    assert near(film.at(2.9)[middle], 80)
    assert near(film.at(2.9)[corner], 200)


def test_a_video_that_stops_is_frozen_then_a_sign_and_comes_back(tmp_path):
    film = (
        Composing(tmp_path)
        .play(
            json_item(added("a")),
            *color(90, 10),
            *tone(0.2, 350),
            *color(180, 10, start_us=6_500_000),
        )
        .finish()
    )
    assert near(film.at(4.9), 90)
    assert not near(film.at(5.8), 90)
    assert near(film.at(5.8)[:20, :20], FIGURE_GREY)
    assert near(film.at(6.7), 180)


def test_a_frame_that_does_not_decode_is_counted_and_a_key_frame_is_wanted(tmp_path):
    good, later = color(90, 10), color(180, 10, start_us=3 * S)
    broken = [(*one[:7], b"\x00" * 40, *one[8:]) for one in color(90, 1, start_us=400_000)]
    job = Composing(tmp_path).play(
        json_item(added("a")),
        *good,
        *broken,
        *color(20, 10, start_us=S)[1:9],
        *tone(0.1, 180),
        *later,
    )
    assert job.archive.ignored["not_decoded"] >= 1
    assert 1 in job.wanted_key_frames
    film = job.finish()
    assert near(film.at(1.2), 90)
    assert near(film.at(3.2), 180)


def test_paused_time_is_not_in_the_file(tmp_path):
    job = Composing(tmp_path)
    job.play(json_item(added("a")), *color(90, 30), *tone(0.2, 50))
    job.archive.pause(ORIGIN_US + S)
    job.play(*color(20, 30, start_us=S), until_us=10 * S)
    assert job.archive.resume(ORIGIN_US + 10 * S) == [1]
    film = job.play(*color(180, 30, start_us=10 * S), *tone(0.2, 50, start_us=10 * S)).finish()
    assert abs(len(film.frames) - 60) <= 1
    assert near(film.at(0.9), 90)
    assert near(film.at(1.1), 180)
    assert job.archive.ignored["paused"] == 30


def test_a_killed_process_is_followed_at_the_image_up_to_which_its_part_can_be_read(tmp_path):
    first = Composing(tmp_path)
    first.play(json_item(added("a")), *color(90, 150), *tone(0.2, 250))
    first.kill()
    second = Composing(tmp_path)
    for one in second.history.present.values():
        second.archive.restore(one, ORIGIN_US + 6 * S)
    film = second.play(*color(180, 60, start_us=6 * S), *tone(0.2, 100, start_us=6 * S)).finish()
    assert abs(len(film.frames) - 240) <= 1
    assert steps(film.times) == {1}
    assert near(film.at(2), 90)
    assert near(film.at(7.5), 180)
    assert abs(len(film.audio) - 8 * 48_000) <= 4_096
    assert sorted(one.name for one in tmp_path.iterdir()) == ["archive.mp4", "result.json"]


def test_what_a_killed_process_left_is_completed_without_another_one(tmp_path):
    job = Composing(tmp_path)
    job.play(json_item(added("a")), *color(90, 150), *tone(0.2, 250))
    job.kill()
    film = job.complete()
    assert 60 <= len(film.frames) <= 150
    assert steps(film.times) == {1}


def test_without_a_frame_there_is_no_file(tmp_path):
    assert Composing(tmp_path).play(json_item(added("a")), until_us=2 * S).finish() is None


def test_frames_of_no_stream_begin_no_file(tmp_path):
    job = Composing(tmp_path).play(*color(90, 10, ssrc=9))
    assert job.archive.first_us is None
    assert job.archive.ignored["unknown_track"] == 10
    film = job.play(json_item(added("a"), S), *color(90, 30, start_us=S)).finish()
    assert abs(len(film.frames) - 30) <= 1


def test_audio_alone_and_video_alone(tmp_path):
    (tmp_path / "audio").mkdir()
    job = Composing(tmp_path / "audio", composition(has_video=False))
    film = job.play(json_item(added("a", video_ssrc=None)), *tone(0.2, 100)).finish()
    assert abs(len(film.audio) - 2 * 48_000) <= 2_048
    (tmp_path / "video").mkdir()
    job = Composing(tmp_path / "video", composition(has_audio=False))
    film = job.play(json_item(added("a", audio_ssrc=None)), *color(90, 30)).finish()
    assert abs(len(film.frames) - 30) <= 1
    with pytest.raises(IndexError):
        _ = film.audio


def test_a_turned_camera_is_upright(tmp_path):
    film = Composing(tmp_path).play(json_item(added("a")), *color(150, 15, degrees=90)).finish()
    last = film.frames[-1][1]
    assert near(last[:, 74:246], 150)  # 180x240 in the middle
    assert near(last[:, :64], BLACK)
    assert near(last[:, 256:], BLACK)


def test_a_machine_that_is_late_loses_nothing(tmp_path):
    job = Composing(tmp_path)
    for item in [json_item(added("a")), *color(90, 60), *tone(0.2, 100)]:
        at = 5 if item[0] == "frame" else 1
        shifted = (*item[:at], item[at] + ORIGIN_US, *item[at + 1 :])
        job.archive.handle_item(shifted, ORIGIN_US + 2 * S)
    job.archive.handle_time(ORIGIN_US + 2 * S)
    assert job.archive.is_behind
    film = job.finish()
    assert abs(len(film.frames) - 60) <= 1
    assert near(film.at(1.9), 90)
