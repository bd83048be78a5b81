from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.egress.child.names import manifest_name, part_name


def test_parts_of_a_stream_are_numbered():
    assert part_name("s", "vp8", set()) == "s.webm"
    assert part_name("s", None, {"s.webm"}) == "s-2.webm"
    assert part_name("s", "h264", {"s.webm", "s-2.webm"}) == "s-3.mkv"


def test_a_stream_whose_id_looks_like_a_part_gets_another_name():
    used = {part_name("s", "vp8", set()), "s-2.webm"}
    assert part_name("s-2", "vp8", used) == "s-2-2.webm"


def test_the_parts_of_a_stream_are_bounded():
    used = {"s.webm", *(f"s-{number}.webm" for number in range(2, 10_000))}
    with pytest.raises(ValueError, match="too many parts"):
        part_name("s", "vp8", used)


@given(st.text())
def test_no_id_leaves_the_folder(name):
    for made in (part_name(name, "vp8", set()), manifest_name(name)):
        assert PurePath(made).name == made
        assert made.isascii()
        assert len(made) < 120
