"""What a participant, or a process that was taken over, cannot do to an archive and its folder."""

from collections import Counter

import pytest

from sfu.egress.child import individual, journal
from sfu.egress.child.completion import complete
from sfu.egress.child.journal import read_journal
from tests.unit.egress.individual_archive import (
    ORIGIN_US,
    Archive,
    files,
)
from tests.unit.egress.media import (
    VIDEO_US,
    added,
    audio_items,
    frame,
    json_item,
    read_back,
    video_items,
)


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
