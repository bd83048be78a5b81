"""Playlists of live broadcasts, against the rules that players rely on."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.egress.child.playlist import Playlist, PlaylistRules
from tests.unit.egress.hls_rules import check, check_follows

LOW = PlaylistRules(target_s=2, part_us=500_000, window=6)
START_MS = 1_795_240_000_000


def grown(rules, segments, part_us=500_000, parts=4):
    """A playlist with whole segments, and each of its texts on the way."""
    playlist, texts, at_us = Playlist(rules), [], 0
    for _ in range(segments):
        count = parts if rules.part_us else 1
        for number in range(count):
            lasts = part_us if rules.part_us else part_us * parts
            playlist.add(
                lasts,
                START_MS + at_us // 1000,
                independent=number == 0,
                ends_segment=number == count - 1,
            )
            at_us += lasts
            playlist.expire()
            texts.append(playlist.render())
    return playlist, texts


@pytest.mark.parametrize(
    "rules", [LOW, PlaylistRules(2), PlaylistRules(2, None, None), PlaylistRules(2, None, 3_600)]
)
def test_each_playlist_and_each_that_follows_it_keeps_the_rules(rules):
    playlist, texts = grown(rules, 20)
    for text in texts:
        check(text)
    for before, after in itertools.pairwise(texts):
        check_follows(before, after)
    playlist.end()
    assert check(playlist.render()).ended
    with pytest.raises(ValueError, match="ended"):
        playlist.add(1, 1, independent=True, ends_segment=True)


def test_a_window_lists_the_newest_segments_and_keeps_the_files_a_while_longer():
    playlist, gone = Playlist(PlaylistRules(2)), []
    for number in range(14):
        playlist.add(2_000_000, START_MS + 2_000 * number, independent=True, ends_segment=True)
        gone.append(playlist.expire())
    found = check(playlist.render())
    assert [one.uri for one in found.segments] == [f"{number}.m4s" for number in range(8, 14)]
    assert gone == [*([[]] * 12), ["0.m4s"], ["1.m4s"]]


def test_the_files_of_parts_go_with_their_segment():
    playlist = Playlist(LOW)
    gone = []
    for number in range(13 * 2):
        playlist.add(
            500_000,
            START_MS + 500 * number,
            independent=number % 2 == 0,
            ends_segment=number % 2 == 1,
        )
        gone += playlist.expire()
    assert gone == ["0.m4s", "0.0.m4s", "0.1.m4s"]


def test_all_of_a_playlist_that_grows_stays():
    playlist, _ = grown(PlaylistRules(2, None, None), 40)
    text = playlist.render()
    assert "#EXT-X-PLAYLIST-TYPE:EVENT\n" in text
    assert len(check(text).segments) == 40


def test_a_player_learns_of_the_next_part_before_it_is_there():
    playlist, _ = grown(LOW, 2)
    assert '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="2.0.m4s"' in playlist.render()
    playlist.add(500_000, START_MS + 4_000, independent=True, ends_segment=False)
    text = playlist.render()
    assert '#EXT-X-PART:DURATION=0.500000,URI="2.0.m4s",INDEPENDENT=YES' in text
    assert '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="2.1.m4s"' in text


def test_the_same_playlist_goes_on_after_a_process_that_died():
    for rules in (LOW, PlaylistRules(2)):
        playlist, _texts = grown(rules, 9)
        if rules.part_us:
            playlist.add(500_000, START_MS + 18_000, independent=True, ends_segment=False)
        text = playlist.render()
        again = Playlist.restored(rules, text)
        again.add(500_000, START_MS + 21_000, independent=True, ends_segment=True)
        again.expire()
        after = again.render()
        check_follows(text, after)
        found = check(after)
        assert [one.discontinuity for one in found.segments].count(True) == 1
        assert found.segments[-1].discontinuity
        for _number in range(8):
            again.add(500_000, START_MS + 21_500, independent=True, ends_segment=True)
        again.expire()
        assert "#EXT-X-DISCONTINUITY-SEQUENCE:1\n" in again.render()
        assert "#EXT-X-DISCONTINUITY\n" not in again.render()


@given(st.text(max_size=300))
def test_what_another_process_left_is_read_or_refused(text):
    with contextlib.suppress(ValueError):
        Playlist.restored(LOW, text)
