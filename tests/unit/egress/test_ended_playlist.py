"""The end of a playlist whose writer is gone."""

import pytest

from sfu.egress.blocking_reload import position_of
from sfu.egress.child.playlist import Playlist, PlaylistRules
from sfu.egress.ended_playlist import ended

WHOLE = PlaylistRules(target_s=2)
PARTS = PlaylistRules(target_s=2, part_us=500_000)
SECOND_US = 1_000_000


def playlist(rules, segments, open_parts=0):
    found = Playlist(rules)
    per_segment = 1 if rules.part_us is None else 4
    for number in range(segments):
        for part in range(per_segment):
            last = part == per_segment - 1
            found.add(2 * SECOND_US // per_segment, number, independent=True, ends_segment=last)
    for _ in range(open_parts):
        found.add(rules.part_us, 9, independent=False, ends_segment=False)
    return found


@pytest.mark.parametrize(
    ("rules", "segments", "open_parts"),
    [(WHOLE, 3, 0), (WHOLE, 0, 0), (PARTS, 3, 0), (PARTS, 3, 2), (PARTS, 0, 2)],
)
def test_it_has_the_whole_segments_and_an_end(rules, segments, open_parts):
    text = playlist(rules, segments, open_parts).render()
    whole = ended(text)
    assert whole.endswith("\n#EXT-X-ENDLIST\n")
    assert whole.count("#EXTINF:") == segments
    assert "PRELOAD-HINT" not in whole
    assert f"{segments}.0.m4s" not in whole
    position = position_of(whole)
    assert (position.segment, position.parts, position.ended) == (segments, 0, True)
    assert ended(whole) == whole


def test_one_that_its_writer_ended_stays_as_it_is():
    done = playlist(PARTS, 2)
    done.end()
    assert ended(done.render()) == done.render()


@pytest.mark.parametrize("text", ["", "#EXTINF:", "#EXTM3U\n#EXTINF:1,", "x\0y\n" * 9])
def test_whatever_is_there_ends(text):
    assert ended(text).splitlines()[-1] == "#EXT-X-ENDLIST"
