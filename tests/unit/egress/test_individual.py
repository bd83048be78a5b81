"""Frames in, files out: read back by FFmpeg's demuxer and decoders."""

import pytest

from sfu.egress.child.frames import in_order as by_time
from tests.unit.egress.individual_archive import (
    CREATED_MS,
    MS,
    ORIGIN_US,
    Archive,
    close_to,
    files,
)
from tests.unit.egress.media import (
    AUDIO_US,
    VIDEO_US,
    added,
    audio_items,
    in_order,
    json_item,
    read_back,
    video_items,
)


@pytest.mark.parametrize(
    ("codec", "ending"), [("vp8", "webm"), ("vp9", "webm"), ("av1", "webm"), ("h264", "mkv")]
)
def test_every_frame_is_in_the_file_at_its_time(tmp_path, codec, ending):
    video = video_items(codec, 60, start_us=412_345)
    audio = audio_items(100, start_us=400_123)
    manifest = (
        Archive(tmp_path)
        .play(json_item(added(codec=codec, connectionData="data", videoType="camera")))
        .play(*in_order(video, audio))
        .finish()
    )
    (file,) = manifest["files"]
    assert file["filename"] == f"s1.{ending}"
    assert (file["startTimeOffset"], file["stopTimeOffset"]) == (400, 2412)
    assert (file["connectionData"], file["videoType"]) == ("data", "camera")
    back = read_back(tmp_path / "out" / file["filename"])
    assert back.codecs == {"video": codec, "audio": "opus"}
    assert back.decoded == {"video": 60, "audio": 100}
    close_to(back.times["video"], [item[5] - 400_123 for item in video])
    close_to(back.times["audio"], [item[5] - 400_123 for item in audio])
    assert back.first_is_key["video"]
    assert abs(back.duration_us - (2_412_325 - 400_123)) <= 2 * MS


def test_a_stream_with_audio_alone_has_one_track(tmp_path):
    manifest = Archive(tmp_path).play(json_item(added(video_ssrc=0)), *audio_items(50)).finish()
    assert files(manifest) == ["s1.webm"]
    back = read_back(tmp_path / "out" / "s1.webm")
    assert (back.codecs, back.decoded) == ({"audio": "opus"}, {"audio": 50})


def test_a_stream_with_video_alone_has_one_track(tmp_path):
    manifest = (
        Archive(tmp_path).play(json_item(added(audio_ssrc=0)), *video_items("vp8", 20)).finish()
    )
    back = read_back(tmp_path / "out" / files(manifest)[0])
    assert (back.codecs, back.decoded) == ({"video": "vp8"}, {"video": 20})


def test_video_before_its_first_key_frame_is_in_no_file(tmp_path):
    video = video_items("vp8", 27, first=3)
    manifest = Archive(tmp_path).play(json_item(added(audio_ssrc=0)), *video).finish()
    (file,) = manifest["files"]
    assert file["startTimeOffset"] == round(7 * VIDEO_US / MS)
    back = read_back(tmp_path / "out" / file["filename"])
    assert back.decoded == {"video": 20}
    assert back.first_is_key["video"]


def test_audio_begins_alone_where_video_is_late_and_video_begins_a_part(tmp_path):
    audio = audio_items(400)
    video = video_items("vp8", 60, start_us=4_000_000)
    manifest = Archive(tmp_path).play(json_item(added()), *in_order(audio, video)).finish()
    assert files(manifest) == ["s1.webm", "s1-2.webm"]
    first, second = (read_back(tmp_path / "out" / name) for name in files(manifest))
    assert first.codecs == {"audio": "opus"}
    assert first.decoded["audio"] + second.decoded["audio"] == 400
    assert second.decoded["video"] == 60
    assert manifest["files"][1]["startTimeOffset"] == 4000


def test_a_muted_video_is_not_waited_for(tmp_path):
    muted = {"event": "muted", "stream": "s1", "kind": "video", "muted": True}
    archive = Archive(tmp_path).play(json_item(added()), json_item(muted), *audio_items(3))
    assert archive.archive.first_us == 0
    manifest = archive.finish()
    assert read_back(tmp_path / "out" / files(manifest)[0]).decoded == {"audio": 3}


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_other_parameters_begin_a_part_without_losing_audio(tmp_path, codec):
    low = video_items(codec, 30)
    high = video_items(codec, 30, start_us=30 * VIDEO_US, size=(128, 96))
    # The audio of the same moment comes after the video.
    audio = [(*item[:5], item[5] - 150_000, *item[6:]) for item in audio_items(110, start_us=0)]
    shifted_by = {id(item): item[5] + 150_000 for item in audio}
    order = sorted(low + high + audio, key=lambda item: shifted_by.get(id(item), item[5]))
    manifest = Archive(tmp_path).play(json_item(added(codec=codec)), *order).finish()
    assert len(files(manifest)) == 2
    first, second = (read_back(tmp_path / "out" / name) for name in files(manifest))
    assert (first.decoded["video"], second.decoded["video"]) == (30, 30)
    assert first.decoded["audio"] + second.decoded["audio"] == 110
    starts = [file["startTimeOffset"] for file in manifest["files"]]
    assert starts[1] == round(30 * VIDEO_US / MS)


def test_another_codec_begins_a_part_and_another_size_of_vp8_does_not(tmp_path):
    items = [
        *video_items("vp8", 10),
        *video_items("vp8", 10, start_us=10 * VIDEO_US, size=(128, 96)),
        *video_items("h264", 10, start_us=20 * VIDEO_US),
    ]
    manifest = Archive(tmp_path).play(json_item(added(audio_ssrc=0)), *items).finish()
    assert files(manifest) == ["s1.webm", "s1-2.mkv"]
    assert read_back(tmp_path / "out" / "s1.webm").decoded == {"video": 20}
    assert read_back(tmp_path / "out" / "s1-2.mkv").decoded == {"video": 10}


def test_a_stream_that_comes_again_has_a_second_file(tmp_path):
    gone = {"event": "streamRemoved", "stream": "s1", "reason": "unpublished"}
    again = added(video_ssrc=11, audio_ssrc=12)
    manifest = (
        Archive(tmp_path)
        .play(json_item(added()), *in_order(video_items("vp8", 10), audio_items(10)))
        .play(json_item(gone, 400_000), json_item(again, 900_000))
        .play(*video_items("vp8", 10, start_us=1_000_000, ssrc=11))
        .play(*audio_items(10, start_us=1_000_000, ssrc=12))
        .play(*audio_items(1, start_us=2_000_000, ssrc=2))
        .finish()
    )
    assert files(manifest) == ["s1.webm", "s1-2.webm"]
    assert manifest["files"][1]["startTimeOffset"] == 1000
    assert read_back(tmp_path / "out" / "s1-2.webm").decoded == {"video": 10, "audio": 10}


def test_paused_time_does_not_count(tmp_path):
    archive = Archive(tmp_path).play(json_item(added(video_ssrc=0)), *audio_items(50))
    archive.archive.pause(ORIGIN_US + 1_000_000)
    archive.play(*audio_items(50, start_us=1_000_000))
    archive.archive.resume(ORIGIN_US + 11_000_000)
    archive.play(*audio_items(50, start_us=11_000_000))
    assert archive.archive.recorded_ms == 2000
    manifest = archive.finish()
    (file,) = manifest["files"]
    assert (file["startTimeOffset"], file["stopTimeOffset"]) == (0, 2000)
    back = read_back(tmp_path / "out" / file["filename"])
    close_to(back.times["audio"], [number * AUDIO_US for number in range(100)])


def test_after_a_pause_video_goes_on_with_a_key_frame(tmp_path):
    video = video_items("vp8", 60)
    archive = Archive(tmp_path).play(json_item(added(audio_ssrc=0)), *video[:15])
    archive.archive.pause(ORIGIN_US + video[15][5])
    assert archive.archive.resume(ORIGIN_US + video[25][5]) == [1]
    manifest = archive.play(*video[15:]).finish()
    back = read_back(tmp_path / "out" / files(manifest)[0])
    assert back.decoded == {"video": 15 + 30}


def test_losses_are_gaps_of_the_manifest_and_mutes_too(tmp_path):
    def muted(at_ms, is_muted):
        event = {"event": "muted", "stream": "s1", "kind": "video", "muted": is_muted}
        return json_item(event, at_ms * MS)

    archive = Archive(tmp_path).play(
        json_item(added()), *in_order(video_items("vp8", 90), audio_items(150))
    )
    archive.play(
        ("lost", 1, 3, 200_000, 250_000),
        ("lost", 1, 3, 300_000, 350_000),
        ("lost", 1, 3, 2_000_000, 2_100_000),
        ("lost", 1, 1, 2_100_000, 2_400_000, "secret"),
        ("lost", 999, 3, 2_000_000, 2_100_000),
        ("lost", 1, 3, 2_900_000, 2_900_000),
        muted(1000, True),
        muted(1500, False),
        muted(2500, True),
    )
    (file,) = archive.finish()["files"]
    assert file["gaps"] == [[200, 350, "network"], [2000, 2100, "network"], [2100, 2400, "secret"]]
    assert file["muted"] == [["video", 1000, 1500], ["video", 2500, 3000]]


def test_layout_classes_and_rotations_are_in_the_manifest(tmp_path):
    classes = {"event": "layoutClassList", "stream": "s1", "layoutClassList": ["full"]}
    video = video_items("vp8", 30)
    turned = [(*item[:11], 90 if number >= 10 else 0) for number, item in enumerate(video)]
    archive = Archive(tmp_path).play(json_item(added(layoutClassList=["focus"], audio_ssrc=0)))
    manifest = archive.play(*turned, json_item(classes, 5_000_000)).finish()
    (file,) = manifest["files"]
    assert file["layoutClassList"] == ["focus"]
    assert file["rotations"] == [[round(10 * VIDEO_US / MS), 90]]
    assert manifest["layoutEvents"] == [
        {
            "createdAt": CREATED_MS + 5000,
            "action": "streamChanged",
            "stream": {"id": "s1", "layoutClassList": ["full"]},
        }
    ]
    assert manifest["createdAt"] == CREATED_MS
    assert (manifest["id"], manifest["sessionId"]) == ("a1", "the-session")


def test_a_track_that_is_silent_does_not_hold_up_the_other_one(tmp_path):
    archive = Archive(tmp_path)
    archive.play(json_item(added()), *in_order(video_items("vp8", 3), audio_items(5)))
    archive.play(*audio_items(250, start_us=100_000))
    # The process is killed: nothing is closed.
    back = read_back(tmp_path / "s1.webm")
    assert back.times["audio"][-1] >= 4_000_000


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_a_killed_process_loses_a_second_and_the_next_one_goes_on(tmp_path, codec):
    first = Archive(tmp_path)
    items = in_order(video_items(codec, 150), audio_items(250))
    first.play(json_item(added(codec=codec)), *items)
    # Killed here. The next process begins with the journal alone.
    second = Archive(tmp_path)
    (present,) = second.present
    assert second.archive.restore(present, ORIGIN_US + 5_500_000)
    later = in_order(
        video_items(codec, 30, start_us=6_000_000), audio_items(50, start_us=6_000_000)
    )
    manifest = second.play(*later).finish()
    ending = "mkv" if codec == "h264" else "webm"
    assert files(manifest) == [f"s1.{ending}", f"s1-2.{ending}"]
    lost, kept = manifest["files"]
    assert 4000 <= lost["stopTimeOffset"] <= 5000
    assert kept["gaps"] == [[lost["stopTimeOffset"], 6000, "recorder"]]
    assert lost["gaps"] == []
    repaired = read_back(tmp_path / "out" / lost["filename"])
    assert repaired.decoded["video"] >= 119
    assert repaired.decoded["audio"] >= 199
    close_to(repaired.times["video"], [n * VIDEO_US for n in range(repaired.decoded["video"])])
    assert repaired.duration_us >= 4_000_000
    assert read_back(tmp_path / "out" / kept["filename"]).decoded == {"video": 30, "audio": 50}


def test_frames_and_events_that_make_no_sense_are_left_out(tmp_path):
    archive = Archive(tmp_path).play(json_item(added()))
    good = in_order(video_items("vp8", 10), audio_items(16))
    bad = [
        ("frame", 77, "video", "vp8", True, 0, 0, b"x", 0, 64, 48, None),
        ("frame", 1, "video", "mjpeg", True, 0, 0, b"x", 0, 64, 48, None),
        ("frame", 1, "video", "vp8", True, 0, 0, b"", 0, 0, 0, None),
        ("frame", 1, "video", "h264", True, 400_000, 0, b"\x00\x00\x01", 0, 64, 48, None),
        ("frame", 1, "video", "av1", True, 400_000, 0, b"\xff" * 40, 0, 64, 48, None),
        ("frame", 2, "audio", "opus", True, -10_000_000, 0, b"", 0, 0, 0, None),
        json_item({"event": "streamAdded"}),
        json_item({"event": "streamAdded", "stream": "x", "tracks": 3}),
        json_item([]),
        ("json", 0, b"\xff\xfe"),
        ("other", 1),
    ]
    for item in bad[:3]:
        archive.play(item)
    archive.play(*good)
    for item in bad[3:-1]:
        archive.play(item)
    archive.archive.handle_item(bad[-1], 0)
    manifest = archive.play(*audio_items(10, start_us=400_000)).finish()
    assert files(manifest) == ["s1.webm"]
    back = read_back(tmp_path / "out" / "s1.webm")
    assert back.decoded["video"] == 10
    assert archive.archive.ignored["malformed_event"] == 4
    assert archive.archive.ignored["unknown_track"] == 1
    assert archive.archive.ignored["not_in_a_file"] >= 4


def test_a_backlog_that_comes_track_by_track_is_read_in_the_order_of_time():
    (v0, v1, v2), (a0, a1, a2, a3, a4) = video_items("vp8", 3), audio_items(5)
    loss, note = ("lost", 1, 1, 0, VIDEO_US), json_item(added())
    backlog = [v0, loss, v1, a0, a1, a2, note, a3, a4, v2]
    assert list(by_time(backlog)) == [v0, a0, a1, loss, v1, a2, note, a3, v2, a4]
