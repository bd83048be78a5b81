"""Files as other programs read them, and as they are when a process is killed at any byte."""

import json
import os
import subprocess

import av
import pytest

from sfu.egress.child import matroska
from sfu.egress.child.codec_private import private_of
from sfu.egress.child.matroska import TrackFormat
from sfu.egress.child.part import Part, repair
from tests.unit.egress.media import audio_items, in_order, read_back, video_items


def written(path, codec="vp8", *, seconds=3, close=True, audio=True):
    video = video_items(codec, 30 * seconds)
    private = private_of(codec, video[0][7])
    tracks = [TrackFormat("video", codec, 64, 48, private)]
    tracks += [TrackFormat("audio", "opus")] if audio else []
    part = Part(path, tracks)
    for item in in_order(video, audio_items(50 * seconds) if audio else []):
        part.write(item[2], item[7], at_us=item[5], duration_us=item[6], key=item[4])
    if close:
        part.close()
    else:
        os.close(part._descriptor)
    return path


@pytest.mark.parametrize(
    ("codec", "name"), [("vp8", "a.webm"), ("vp9", "a.webm"), ("av1", "a.webm"), ("h264", "a.mkv")]
)
def test_ffprobe_and_the_decoders_of_ffmpeg_find_no_fault(tmp_path, codec, name):
    path = written(tmp_path / name, codec)
    asked = [
        "ffprobe",
        "-v",
        "warning",
        "-count_frames",
        "-show_streams",
        "-show_format",
        "-of",
        "json",
    ]
    probe = subprocess.run([*asked, str(path)], capture_output=True, text=True, check=True)
    assert probe.stderr == ""
    found = json.loads(probe.stdout)
    frames = {one["codec_type"]: int(one["nb_read_frames"]) for one in found["streams"]}
    assert frames == {"video": 90, "audio": 150}
    assert float(found["format"]["duration"]) == pytest.approx(3.0, abs=0.002)
    decoded = subprocess.run(
        ["ffmpeg", "-v", "warning", "-xerror", "-i", str(path), "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert decoded.stderr == ""


def test_the_index_leads_to_the_key_frames(tmp_path):
    with av.open(str(written(tmp_path / "a.webm"))) as container:
        video = container.streams.video[0]
        container.seek(int(2.05 / video.time_base), stream=video)
        first = next(packet for packet in container.demux(video))
        assert first.is_keyframe
        assert 1_650 <= first.pts <= 2_050


def test_a_file_cut_at_any_place_is_read_up_to_its_last_cluster(tmp_path):
    whole = written(tmp_path / "whole.webm", close=False).read_bytes()
    path, last = tmp_path / "cut.webm", -1
    for end in range(0, len(whole), 397):
        path.write_bytes(whole[:end])
        end_us = repair(path)
        if end_us is None:
            assert last == -1
            continue
        assert end_us >= last
        last = end_us
    back = read_back(path)
    assert last >= 1_900_000
    assert back.decoded["video"] >= 59
    assert back.duration_us == last


def test_a_repaired_file_can_be_repaired_again(tmp_path):
    path = written(tmp_path / "a.webm", close=False)
    first = repair(path)
    content = path.read_bytes()
    assert repair(path) == first
    assert path.read_bytes() == content
    assert read_back(path).first_is_key["video"]


@pytest.mark.parametrize(
    "content", [b"", b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3" + b"\xff" * 300, b"RIFF" * 50]
)
def test_what_is_no_file_of_this_kind_is_left_alone(tmp_path, content):
    path = tmp_path / "a.webm"
    path.write_bytes(content)
    assert repair(path) is None
    assert path.read_bytes() == content


def test_a_file_whose_bytes_changed_is_read_up_to_there_without_an_error(tmp_path):
    whole = written(tmp_path / "whole.webm", seconds=2, close=False).read_bytes()
    path = tmp_path / "a.webm"
    for at in range(0, len(whole), 211):
        changed = bytearray(whole)
        changed[at] ^= 0xFF
        path.write_bytes(changed)
        repair(path)


def test_audio_alone_is_indexed_by_the_second(tmp_path):
    part = Part(tmp_path / "a.webm", [TrackFormat("audio", "opus")])
    for item in audio_items(500):
        part.write("audio", item[7], at_us=item[5], duration_us=item[6], key=True)
    part.close()
    with av.open(str(tmp_path / "a.webm")) as container:
        audio = container.streams.audio[0]
        container.seek(5_500, stream=audio)
        assert 4_900 <= next(packet for packet in container.demux(audio)).pts <= 5_500


def test_a_track_that_pauses_for_hours_goes_on_at_its_time(tmp_path):
    part = Part(tmp_path / "a.webm", [TrackFormat("audio", "opus")])
    for at_us in (0, 7_200_000_000, 7_200_020_000):
        part.write("audio", b"\xfc\xff\xfe", at_us=at_us, duration_us=20_000, key=True)
    part.close()
    assert read_back(tmp_path / "a.webm").times["audio"] == [0, 7_200_000_000, 7_200_020_000]


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x01", b"\x00" * 20, b"no start code"])
def test_a_frame_without_content_is_refused(tmp_path, data):
    part = Part(tmp_path / "a.mkv", [TrackFormat("video", "h264", 64, 48, b"x")])
    with pytest.raises(ValueError, match="without content"):
        part.write("video", data, at_us=0, duration_us=0, key=True)
    part.close()


def test_positions_of_the_layout_are_those_that_a_scan_finds():
    for tracks in (
        [TrackFormat("audio", "opus")],
        [TrackFormat("video", "vp8", 1_920, 1_080), TrackFormat("audio", "opus")],
    ):
        start, layout = matroska.header(tracks, webm=True)
        scanned = matroska.scan_header(start)
        assert (scanned.layout, scanned.end) == (layout, len(start))
