"""Broadcasts as HLS: cut, written, and read back by other programs."""

import json
import subprocess
from itertools import pairwise

import pytest

from sfu.egress.child import fragments
from sfu.egress.child.hls_output import HlsOutput
from sfu.egress.child.segmenter import Segmenter
from sfu.egress.live_outputs import HlsTarget
from tests.unit.egress.broadcast_media import BLOCK, FPS, RATE, encoded
from tests.unit.egress.hls_rules import check, check_follows

ZERO_MS = 1_795_240_000_000
LOW = HlsTarget(2_000, part_ms=500)


def parts_of(seconds, part_us, **kinds):
    tracks, packets = encoded(seconds, **kinds)
    segmenter = Segmenter(tracks, 2_000_000, part_us)
    found = [one for packet in packets if (one := segmenter.add(packet)) is not None]
    last = segmenter.finish()
    return tracks, found + ([] if last is None else [last])


def probed(path, level="warning"):
    asked = ["ffprobe", "-v", level, "-count_frames", "-show_streams", "-of", "json"]
    probe = subprocess.run([*asked, str(path)], capture_output=True, text=True, check=True)
    assert probe.stderr == ""
    return {one["codec_type"]: one for one in json.loads(probe.stdout)["streams"]}


def test_parts_are_whole_frames_and_their_times_have_no_gap():
    _, parts = parts_of(7, 500_000)
    assert [one.duration_us for one in parts] == [500_000] * 14
    assert [one.segment for one in parts] == [number // 4 for number in range(14)]
    assert [one.independent for one in parts] == [number % 4 == 0 for number in range(14)]
    for before, after in pairwise(parts):
        assert after.at_us == before.at_us + before.duration_us


def test_the_duration_in_the_playlist_is_that_of_the_samples():
    for part_us in (None, 500_000, 333_000, 1_000_000):
        _tracks, parts = parts_of(5, part_us)
        for part in parts:
            video = next(run for run in fragments.runs_of(part.data) if run.track == 1)
            assert video.duration * 1_000_000 // FPS == pytest.approx(part.duration_us, abs=1)
            assert video.begins_with_key is part.independent
            assert part.duration_us <= (part_us or 2_000_000)


def test_every_packet_is_in_one_part_in_its_order():
    _tracks, packets = encoded(7)
    _, parts = parts_of(7, 500_000)
    runs = [run for part in parts for run in fragments.runs_of(part.data)]
    for kind, number, hz in (("video", 1, 1), ("audio", 2, BLOCK)):
        own = [run for run in runs if run.track == number]
        wanted = [one for one in packets if one.kind == kind]
        assert sum(run.samples for run in own) == len(wanted)
        assert own[0].decode_time == wanted[0].at
        for before, after in pairwise(own):
            assert after.decode_time == before.decode_time + before.samples * hz


def test_audio_alone_is_cut_below_its_targets():
    _, parts = parts_of(9, 500_000, video=False)
    assert all(425_000 <= one.duration_us <= 500_000 for one in parts if not one.ends_segment)
    assert {one.segment for one in parts} == {0, 1, 2, 3, 4}


def test_nothing_is_written_before_the_first_key_frame():
    tracks, packets = encoded(7)
    segmenter = Segmenter(tracks, 2_000_000, None)
    late = [one for one in packets if one.at > (5 if one.kind == "video" else 0)]
    parts = [one for packet in late if (one := segmenter.add(packet)) is not None]
    assert [one.independent for one in parts] == [True, True]
    assert parts[0].at_us == 2_000_000


@pytest.mark.parametrize("kinds", [{}, {"video": False}, {"audio": False}])
@pytest.mark.parametrize(
    "rules", [HlsTarget(2_000), LOW, HlsTarget(2_000, dvr_s=7_200, grows=True)]
)
def test_ffprobe_and_the_decoders_of_ffmpeg_find_no_fault(tmp_path, rules, kinds):
    tracks, packets = encoded(7, **kinds)
    ready, texts = [], []
    output = HlsOutput(tmp_path, tracks, rules, ZERO_MS, lambda: ready.append(len(texts)))
    for packet in packets:
        output.write(packet)
        path = tmp_path / "index.m3u8"
        if path.exists() and (not texts or path.read_text() != texts[-1]):
            texts.append(path.read_text())
    output.close()
    texts.append((tmp_path / "index.m3u8").read_text())
    for text in texts:
        check(text)
    for before, after in pairwise(texts):
        check_follows(before, after)
    assert len(ready) == 1
    assert sorted(one.name for one in tmp_path.iterdir() if one.suffix == ".unfinished") == []
    streams = probed(tmp_path / "index.m3u8")
    counted = {kind: int(one["nb_read_frames"]) for kind, one in streams.items()}
    expected = {kind: sum(one.kind == kind for one in packets) for kind in counted}
    assert counted == expected
    assert set(counted) == {kind for kind in ("video", "audio") if kinds.get(kind, True)}
    decoded = subprocess.run(
        ["ffmpeg", "-v", "warning", "-xerror", "-i", tmp_path / "index.m3u8", "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert decoded.stderr == ""


def test_players_without_parts_get_the_same_media(tmp_path):
    tracks, packets = encoded(7)
    output = HlsOutput(tmp_path, tracks, LOW, ZERO_MS)
    for packet in packets:
        output.write(packet)
    output.close()
    for number in range(4):
        parts = sorted(tmp_path.glob(f"{number}.*.m4s"))
        whole = (tmp_path / f"{number}.m4s").read_bytes()
        assert whole == b"".join(one.read_bytes() for one in parts)


def test_a_process_that_follows_a_dead_one_goes_on_with_the_playlist(tmp_path):
    tracks, packets = encoded(7)
    first = HlsOutput(tmp_path, tracks, LOW, ZERO_MS)
    for packet in packets:
        first.write(packet)
    before = (tmp_path / "index.m3u8").read_text()
    assert check(before).open.parts  # it dies in the middle of a segment
    second = HlsOutput(tmp_path, tracks, LOW, ZERO_MS + 9_000)
    for packet in packets:
        second.write(packet)
    second.close()
    after = (tmp_path / "index.m3u8").read_text()
    check_follows(before, after)
    found = check(after)
    assert [one.discontinuity for one in found.segments].count(True) == 1
    assert all((tmp_path / one.uri).exists() for one in found.segments)
    assert int(probed(tmp_path / "index.m3u8", "fatal")["video"]["nb_read_frames"]) >= 6 * FPS


def test_old_files_are_deleted(tmp_path):
    tracks, packets = encoded(7)
    output = HlsOutput(tmp_path, tracks, HlsTarget(2_000), ZERO_MS)
    for turn in range(5):
        for packet in packets:
            later = 180 * turn if packet.kind == "video" else RATE * 6 * turn
            if packet.at < (180 if packet.kind == "video" else RATE * 6):
                output.write(
                    type(packet)(
                        packet.kind, packet.data, packet.at + later, packet.duration, packet.key
                    )
                )
    output.close()
    names = {one.name for one in tmp_path.glob("*.m4s")}
    assert names == {f"{number}.m4s" for number in range(3, 15)}  # listed, and as many before


@pytest.mark.parametrize("cut", [0, 4, 20, 60, -1])
def test_a_fragment_that_is_cut_off_is_refused(cut):
    _, parts = parts_of(3, None)
    data = parts[0].data[:cut]
    if cut == 0:
        assert fragments.runs_of(data) == ()
    else:
        with pytest.raises(ValueError):
            fragments.runs_of(data)
