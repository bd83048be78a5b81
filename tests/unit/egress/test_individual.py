"""Frames in, files out: read back by FFmpeg's demuxer and decoders."""

import json
import zipfile
from collections import Counter

import pytest

from sfu.egress.child import individual, journal
from sfu.egress.child.completion import complete
from sfu.egress.child.events import Began
from sfu.egress.child.frames import in_order as by_time
from sfu.egress.child.individual import IndividualArchive
from sfu.egress.child.journal import Journal, read_journal
from sfu.egress.child.manifest import history_of
from tests.unit.egress.media import (
    AUDIO_US,
    VIDEO_US,
    added,
    audio_items,
    frame,
    in_order,
    json_item,
    read_back,
    video_items,
)

CREATED_MS = 1_795_240_000_000
ORIGIN_US = 5_000_000_000
MS = 1_000


class Archive:
    """One process of a job, without the process."""

    def __init__(self, folder, *, hold_ms=100, **more):
        self.folder = folder
        self.journal = Journal(folder)
        history = history_of(read_journal(folder))
        began = Began("a1", "the-session", "a name", CREATED_MS, ORIGIN_US)
        self.journal.write(began)
        history.apply(began)
        self.present = list(history.present.values())
        self.archive = IndividualArchive(folder, self.journal, history, hold_ms, **more)

    def play(self, *items):
        for item in map(shifted, items):
            now_us = item[5] if item[0] == "frame" else ORIGIN_US
            self.archive.handle_item(item, now_us)
        return self

    def finish(self):
        self.archive.close()
        self.journal.close()
        return finished(self.folder)


def shifted(item):
    """Tests count from the archive's beginning."""
    match item[0]:
        case "json":
            return (item[0], item[1] + ORIGIN_US, item[2])
        case "frame":
            return (*item[:5], item[5] + ORIGIN_US, *item[6:])
        case "lost":
            return (*item[:3], item[3] + ORIGIN_US, item[4] + ORIGIN_US, *item[5:])


def finished(folder):
    assert complete(folder) is not None
    with zipfile.ZipFile(folder / "archive.zip") as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        manifest = json.loads(archive.read(names[0]))
        archive.extractall(folder / "out")
    assert names == ["a1.json", *(file["filename"] for file in manifest["files"])]
    for file in manifest["files"]:
        assert (folder / "out" / file["filename"]).stat().st_size == file["size"]
    return manifest


def files(manifest):
    return [file["filename"] for file in manifest["files"]]


def close_to(found, expected):
    assert len(found) == len(expected)
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 1 * MS


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


@pytest.mark.parametrize("away_s", [-61, 61, 10**9])
def test_a_frame_of_another_time_is_in_no_file(tmp_path, away_s):
    archive = Archive(tmp_path).play(json_item(added(video_ssrc=0)))
    (odd,) = audio_items(1, start_us=ORIGIN_US + away_s * 1_000_000)
    archive.archive.handle_item(odd, ORIGIN_US)
    manifest = archive.play(*audio_items(5)).finish()
    assert manifest["files"][0]["stopTimeOffset"] == 100
    assert archive.archive.ignored["implausible_time"] == 1


def test_an_id_never_becomes_a_path(tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    archive = Archive(folder)
    for number, stream in enumerate(["../../evil", "", "/etc/x", "a" * 500, "ä/ö"]):
        ssrc = 100 + number
        archive.play(json_item(added(stream, video_ssrc=0, audio_ssrc=ssrc)))
        archive.play(*audio_items(5, ssrc=ssrc))
    manifest = archive.finish()
    assert len(set(files(manifest))) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["job"]


def test_a_publisher_that_changes_its_parameters_all_the_time_fills_no_folder(tmp_path):
    archive = Archive(tmp_path).play(json_item(added(audio_ssrc=0, codec="h264")))
    small, large = (video_items("h264", 1, size=size)[0] for size in ((64, 48), (128, 96)))
    for number in range(200):
        item = (small, large)[number % 2]
        archive.play((*item[:5], number * VIDEO_US, *item[6:]))
    assert len(files(archive.finish())) <= 10


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264", "av1"])
def test_video_that_is_larger_than_any_participant_sends_is_in_no_file(tmp_path, codec):
    archive = Archive(tmp_path).play(json_item(added(audio_ssrc=0, codec=codec)))
    large, *after = video_items(codec, 10)
    for size in ((4_097, 16), (16, 4_097), (8_192, 8_192)):
        archive.play((*large[:9], *size, None), *after[:3])
    archive.play(*video_items(codec, 10, start_us=1_000_000))
    archive.play((*large[:5], 2_000_000, *large[6:9], 8_192, 8_192, None))
    archive.play(*video_items(codec, 9, first=1, start_us=2_000_000))
    counted = archive.archive.ignored
    manifest = archive.finish()
    assert [read_back(tmp_path / "out" / name).decoded for name in files(manifest)] == [
        {"video": 10}
    ]
    assert (counted["frame_too_large"], counted["not_in_a_file"]) == (4, 18)
    assert archive.archive.ignored == counted


def test_a_small_key_frame_of_a_giant_video_costs_nothing(tmp_path):
    """FFmpeg's H.264 decoder took 180 MB for these bytes."""
    giant = bytes.fromhex("0000000167420033da0100080102000000000168ce3880000000016588843a")
    archive = Archive(tmp_path).play(json_item(added(audio_ssrc=0, codec="h264")))
    archive.play(frame(1, "h264", giant, 0, size=(8_192, 8_192)))
    assert archive.archive.ignored["frame_too_large"] == 1
    assert archive.archive.first_us is None


def test_publishing_again_and_again_fills_no_folder(tmp_path):
    beats = []
    archive = Archive(tmp_path, beat=lambda: beats.append(1))
    archive.play(json_item(added("steady", video_ssrc=0, audio_ssrc=1)), *audio_items(2, ssrc=1))
    for number in range(1_010):
        ssrc = 100 + number
        archive.play(json_item(added(video_ssrc=0, audio_ssrc=ssrc)))
        archive.play(*audio_items(2, ssrc=ssrc, start_us=40_000 * number))
        archive.play(json_item({"event": "streamRemoved", "stream": "s1"}))
    archive.play(*audio_items(3, ssrc=1, start_us=40_000))
    counted = archive.archive.ignored
    assert len(beats) == 1_010
    manifest = archive.finish()
    assert len(files(manifest)) == 1_000
    assert counted == {"too_many_parts": 22}
    assert read_back(tmp_path / "out" / "steady.webm").decoded == {"audio": 5}


def test_parameters_that_change_in_many_streams_fill_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(individual, "MAX_PARTS", 12)
    archive = Archive(tmp_path)
    small, large = (video_items("h264", 1, size=size)[0] for size in ((64, 48), (128, 96)))
    for stream in range(1, 5):
        archive.play(json_item(added(f"s{stream}", video_ssrc=stream, audio_ssrc=0)))
        for number in range(5):
            item = (small, large)[number % 2]
            archive.play((item[0], stream, *item[2:5], number * VIDEO_US, *item[6:]))
    counted = archive.archive.ignored
    assert len(files(archive.finish())) == 12
    assert counted["too_many_parts"] == 7  # one goes on in the last file


def test_a_next_process_counts_the_files_of_the_one_before(tmp_path, monkeypatch):
    monkeypatch.setattr(individual, "MAX_PARTS", 2)
    for number in range(3):
        archive = Archive(tmp_path)
        archive.archive.restore(added(video_ssrc=0), ORIGIN_US)
        archive.play(*audio_items(5, start_us=number * 1_000_000))
        archive.archive.close()
    assert archive.archive.ignored["too_many_parts"] == 5
    assert len(files(archive.finish())) == 2


def test_streams_that_come_without_a_frame_have_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(individual, "MAX_ADDED", 20)
    archive = Archive(tmp_path)
    for number in range(30):
        archive.play(json_item(added(f"s{number}")))
        archive.play(json_item({"event": "streamRemoved", "stream": f"s{number}"}))
    assert archive.archive.ignored["too_many_streams"] == 10
    assert len(list(read_journal(tmp_path))) == 1 + 2 * 20


def test_the_journal_has_a_last_entry_of_all_streams_together(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "_MAX_ENTRIES", 50)
    archive = Archive(tmp_path)
    for number in range(1, 41):
        event = added(f"s{number}", video_ssrc=0, audio_ssrc=number, connectionData="data")
        archive.play(json_item(event))
        for muted in (True, False):
            event = {"event": "muted", "stream": f"s{number}", "kind": "audio", "muted": muted}
            archive.play(json_item(event))
        archive.play(*audio_items(5, ssrc=number))
    written = Counter(type(entry).__name__ for entry in read_journal(tmp_path))
    assert written["Muted"] < 50
    # What a recovery and the manifest need is not left out.
    assert (written["Came"], written["Opened"]) == (40, 40)
    assert {file["connectionData"] for file in archive.finish()["files"]} == {"data"}


def test_whoever_waits_for_many_files_says_that_it_lives(tmp_path):
    beats = []
    archive = Archive(tmp_path, beat=lambda: beats.append(1))
    for number in range(1, 6):
        archive.play(json_item(added(f"s{number}", video_ssrc=0, audio_ssrc=number)))
        archive.play(*audio_items(5, ssrc=number))
    archive.archive.sync()
    assert len(beats) == 5
    archive.archive.close()
    assert len(beats) == 10
    beats.clear()
    assert complete(tmp_path, lambda: beats.append(1)) is not None
    left = {"archive.zip", "result.json", "lock"}
    removed = 6  # the journal too
    assert len(beats) >= 5 + 5 + removed
    assert {path.name for path in tmp_path.iterdir()} <= left
