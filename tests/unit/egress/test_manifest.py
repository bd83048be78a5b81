import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.egress.child.events import (
    Began,
    Came,
    Closed,
    Entry,
    Gap,
    Left,
    Muted,
    Opened,
    Recording,
)
from sfu.egress.child.manifest import History, history_of, manifest, recorded_us

BEGAN = Began("a1", "session", "name", 1_000_000, 0)


def came(stream="s1"):
    return Came(0, {"event": "streamAdded", "stream": stream, "tracks": []})


def test_a_journal_without_its_beginning_has_no_manifest():
    with pytest.raises(ValueError, match="what was recorded"):
        manifest(History(), {})


def test_files_without_an_end_or_a_size_are_left_out():
    entries = [BEGAN, came(), Opened("a.webm", "s1", 0), Opened("b.webm", "s1", 5)]
    history = history_of([*entries, Closed("a.webm", 2_000_000), Opened("c.webm", "s1", 9)])
    history.parts["c.webm"].stop_us = 3_000_000
    assert [file["filename"] for file in manifest(history, {"a.webm": 7})["files"]] == ["a.webm"]
    assert recorded_us(history) == 3_000_000


def test_times_in_front_of_the_archive_are_its_beginning():
    history = history_of([BEGAN, came(), Opened("a.webm", "s1", -9_000), Closed("a.webm", 1)])
    (file,) = manifest(history, {"a.webm": 1})["files"]
    assert (file["startTimeOffset"], file["stopTimeOffset"]) == (0, 0)


def test_a_mute_counts_within_the_file_only():
    history = history_of(
        [
            BEGAN,
            came(),
            Muted("s1", "audio", muted=True, at_us=0),
            Muted("s1", "audio", muted=True, at_us=500_000),
            Opened("a.webm", "s1", 1_000_000),
            Muted("s1", "audio", muted=False, at_us=2_000_000),
            Muted("s1", "audio", muted=False, at_us=2_500_000),
            Closed("a.webm", 3_000_000),
        ]
    )
    (file,) = manifest(history, {"a.webm": 1})["files"]
    assert file["muted"] == [["audio", 1000, 2000]]


def test_what_a_later_process_needs_is_in_the_journal():
    history = history_of(
        [BEGAN, came("s1"), came("s2"), Left("s1"), Recording(on=False, host_us=7), BEGAN]
    )
    assert list(history.present) == ["s2"]
    assert history.timeline.paused


ENTRIES = st.one_of(
    st.builds(Opened, st.sampled_from("ab"), st.sampled_from("xy"), st.integers(-9, 9)),
    st.builds(Closed, st.sampled_from("abc"), st.integers(-9, 9)),
    st.builds(Gap, st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 9), st.just("n")),
    st.builds(Muted, st.sampled_from("xy"), st.just("audio"), st.booleans(), st.integers(0, 9)),
    st.builds(Recording, st.booleans(), st.integers(0, 9)),
    st.builds(Left, st.sampled_from("xy")),
    st.just(came("x")),
)


@given(st.lists(ENTRIES, max_size=30))
def test_no_order_of_entries_breaks_the_manifest(entries):
    coded = [msgspec.json.decode(msgspec.json.encode(one), type=Entry) for one in entries]
    assert coded == entries
    history = history_of([BEGAN, *entries])
    for file in manifest(history, {"a": 1, "b": 1})["files"]:
        assert file["startTimeOffset"] >= 0
    assert recorded_us(history) >= 0
