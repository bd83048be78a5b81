"""Each type of layout against boxes that were worked out by hand, and rules that hold for all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfu.egress.child.layout import Box, LayoutRule, LayoutType, Placeable, tiles

BEST_FIT, PIP = LayoutType.BEST_FIT, LayoutType.PIP
VERTICAL, HORIZONTAL = LayoutType.VERTICAL, LayoutType.HORIZONTAL
SIZES = [(640, 480), (480, 640), (1280, 720), (720, 1280), (1920, 1080), (1080, 1920)]


def streams(count, **of_first):
    first = [Placeable("s0", 0, **of_first)] if count else []
    return [*first, *(Placeable(f"s{at}", at) for at in range(1, count))]


def boxes(kind, count, size=(640, 480)):
    return [tile.box for tile in tiles(LayoutRule(kind), streams(count), *size)]


def names(rule, *placed):
    return [tile.stream for tile in tiles(rule, placed, 640, 480)]


@pytest.mark.parametrize(
    ("kind", "size", "count", "expected"),
    [
        (BEST_FIT, (640, 480), 0, []),
        (BEST_FIT, (640, 480), 1, [Box(0, 0, 640, 480)]),
        (BEST_FIT, (640, 480), 2, [Box(106, 0, 426, 240), Box(106, 240, 426, 240)]),
        (BEST_FIT, (1280, 720), 2, [Box(0, 120, 640, 480), Box(640, 120, 640, 480)]),
        (
            BEST_FIT,
            (640, 480),
            3,
            [Box(0, 0, 320, 240), Box(320, 0, 320, 240), Box(160, 240, 320, 240)],
        ),
        (BEST_FIT, (480, 640), 1, [Box(0, 0, 480, 640)]),
        (BEST_FIT, (480, 640), 2, [Box(0, 0, 480, 320), Box(0, 320, 480, 320)]),
        (PIP, (640, 480), 1, [Box(0, 0, 640, 480)]),
        (PIP, (640, 480), 5, [Box(0, 0, 640, 480), Box(468, 348, 160, 120)]),
        (VERTICAL, (640, 480), 1, [Box(0, 0, 640, 480)]),
        (
            VERTICAL,
            (640, 480),
            3,
            [Box(128, 0, 512, 480), Box(0, 0, 128, 96), Box(0, 96, 128, 96)],
        ),
        (
            HORIZONTAL,
            (1280, 720),
            3,
            [Box(0, 0, 1280, 576), Box(0, 576, 256, 144), Box(256, 576, 256, 144)],
        ),
    ],
)
def test_so_many_streams_are_there(kind, size, count, expected):
    assert boxes(kind, count, size) == expected


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(4, 2, 2), (5, 2, 3), (9, 3, 3), (16, 4, 4)]
)
def test_the_best_fit_of_more_is_a_grid(count, columns, rows):
    found = boxes(BEST_FIT, count)
    assert len({box.y for box in found}) == rows
    assert len([box for box in found if box.y == found[0].y]) == columns


def test_classes_name_who_is_large():
    ann, ben = Placeable("ann", 1), Placeable("ben", 2, classes=frozenset({"focus"}))
    full = Placeable("cat", 3, classes=frozenset({"full"}))
    assert names(LayoutRule(VERTICAL), ann, ben, full) == ["ben", "ann", "cat"]
    assert names(LayoutRule(HORIZONTAL), ann, ben, full) == ["ben", "ann", "cat"]
    assert names(LayoutRule(PIP), ann, ben, full) == ["cat", "ann"]
    assert names(LayoutRule(BEST_FIT), ann, ben, full) == ["ann", "ben", "cat"]


def test_the_small_image_is_of_somebody_without_the_class():
    both = [Placeable(name, at, classes=frozenset({"full"})) for at, name in enumerate("ab")]
    assert names(LayoutRule(PIP), *both, Placeable("c", 5)) == ["a", "c"]
    assert names(LayoutRule(PIP), *both) == ["a", "b"]


def test_streams_with_video_come_first_then_older_ones():
    assert names(
        LayoutRule(),
        Placeable("old", 1, has_video=False),
        Placeable("young", 9),
        Placeable("older", 5),
    ) == ["older", "young", "old"]


@pytest.mark.parametrize(("kind", "first"), [(VERTICAL, "new"), (PIP, "new"), (BEST_FIT, "new")])
def test_a_screen_has_the_focus_while_there_is_one(kind, first):
    rule = LayoutRule(BEST_FIT, kind)
    ann = Placeable("ann", 1, classes=frozenset({"focus", "full"}))
    old, new = Placeable("old", 2, is_screen=True), Placeable("new", 3, is_screen=True)
    assert names(rule, ann, old, new)[0] == first
    assert tiles(rule, [ann, old, new], 640, 480)[0].box == boxes(kind, 3)[0]
    assert names(rule, ann) == ["ann"]
    assert names(LayoutRule(BEST_FIT), ann, old, new) == ["ann", "old", "new"]


placeables = st.lists(
    st.builds(
        Placeable,
        stream=st.uuids().map(str),
        since=st.integers(0, 1_000),
        has_video=st.booleans(),
        is_screen=st.booleans(),
        classes=st.frozensets(st.sampled_from(["focus", "full", "other"])),
    ),
    max_size=50,
    unique_by=(lambda one: one.stream, lambda one: one.since),
)
rules = st.builds(LayoutRule, st.sampled_from(LayoutType), st.none() | st.sampled_from(LayoutType))


def overlap(one, other):
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


@settings(max_examples=40, deadline=None)
@given(rules, placeables, st.sampled_from(SIZES))
def test_tiles_are_inside_even_and_beside_each_other(rule, placed, size):
    found = tiles(rule, placed, *size)
    assert len(found) <= 16
    assert len({tile.stream for tile in found}) == len(found)
    assert bool(found) == bool(placed)
    for tile in found:
        box = tile.box
        assert min(box.width, box.height) > 0
        assert not any(side % 2 for side in (box.x, box.y, box.width, box.height))
        assert 0 <= box.x <= box.x + box.width <= size[0]
        assert 0 <= box.y <= box.y + box.height <= size[1]
    is_pip = LayoutType.PIP in (rule.type, rule.screenshare)
    if not is_pip:
        pairs = [(a, b) for at, a in enumerate(found) for b in found[at + 1 :]]
        assert not any(overlap(a.box, b.box) for a, b in pairs)


@settings(max_examples=40, deadline=None)
@given(rules, placeables, st.data())
def test_a_stream_that_leaves_moves_the_others_by_at_most_one_place(rule, placed, data):
    if len(placed) < 2 or rule.screenshare or rule.type is LayoutType.PIP:
        return
    gone = data.draw(st.sampled_from(placed))
    before = [tile.stream for tile in tiles(rule, placed, 640, 480)]
    after = [tile.stream for tile in tiles(rule, [p for p in placed if p != gone], 640, 480)]
    for name in set(before) & set(after):
        assert before.index(name) - after.index(name) in (0, 1)


@settings(max_examples=40, deadline=None)
@given(rules, placeables, st.randoms())
def test_the_order_in_which_streams_are_named_does_not_matter(rule, placed, random):
    shuffled = list(placed)
    random.shuffle(shuffled)
    assert tiles(rule, shuffled, 640, 480) == tiles(rule, placed, 640, 480)
