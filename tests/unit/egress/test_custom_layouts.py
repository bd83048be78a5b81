"""The image of a custom layout: each stream where it was placed, to the pixel."""

import numpy as np
import pytest

from sfu.egress.child.layout import Box, LayoutRule, Placeable, Tile, tiles
from sfu.egress.composer.canvas import placed
from sfu.egress.composition import Composition, Layout, Placed
from tests.unit.egress.composing import HEIGHT, ORIGIN_US, WIDTH, Composing, color
from tests.unit.egress.media import added, json_item

S = 1_000_000
BLACK = 16


def test_streams_that_are_not_there_or_not_placed_have_no_tile():
    rule = LayoutRule(placed=(Placed("b", 0, 0, 20, 10), Placed("gone", 0, 0, 2, 2)))
    found = tiles(rule, [Placeable("a", 1), Placeable("b", 2)], 640, 480)
    assert found == [Tile("b", Box(0, 0, 20, 10))]


def film_of(folder, *places, sizes=((160, 120), (160, 120))):
    folder.mkdir(exist_ok=True)
    wanted = Composition(WIDTH, HEIGHT, Layout("custom", placed=places), has_audio=False)
    return (
        Composing(folder, wanted)
        .play(
            json_item(added("a", audio_ssrc=None)),
            json_item(added("b", video_ssrc=3, audio_ssrc=None)),
            *color(80, 30, size=sizes[0]),
            *color(200, 30, ssrc=3, size=sizes[1]),
        )
        .finish()
    )


def edges(row, luma):
    """Where a row has this luma, from the first pixel to the one behind the last."""
    near = np.flatnonzero(np.abs(row - luma) < 25)
    return (int(near[0]), int(near[-1]) + 1) if len(near) else None


def within_a_pixel(found, wanted):
    return all(abs(one - other) <= 1 for one, other in zip(found, wanted, strict=True))


def test_each_tile_is_at_its_pixels_and_nothing_is_beside_it(tmp_path):
    image = film_of(tmp_path, Placed("a", 20, 30, 80, 60), Placed("b", 200, 100, 100, 76)).at(0.9)
    assert within_a_pixel(edges(image[60], 80), (20, 100))
    assert within_a_pixel(edges(image[:, 60], 80), (30, 90))
    assert within_a_pixel(edges(image[138], 200), (200, 300))
    assert within_a_pixel(edges(image[:, 250], 200), (100, 176))
    assert abs(image[200:, :190].mean() - BLACK) < 3


def test_the_later_one_lies_over_the_earlier_one_also_when_only_that_moves(tmp_path):
    image = film_of(tmp_path, Placed("b", 0, 0, WIDTH, HEIGHT), Placed("a", 40, 40, 80, 60)).at(0.9)
    assert abs(image[70, 80] - 80) < 6
    assert abs(image[200, 300] - 200) < 6
    under = film_of(
        tmp_path / "under", Placed("a", 40, 40, 80, 60), Placed("b", 0, 0, WIDTH, HEIGHT)
    )
    assert abs(under.at(0.9)[70, 80] - 200) < 6


def test_what_reaches_beyond_the_image_is_cut_there(tmp_path):
    image = film_of(tmp_path, Placed("a", -40, -30, 80, 60), Placed("b", 280, 210, 80, 60)).at(0.9)
    assert within_a_pixel(edges(image[10], 80), (0, 40))
    assert within_a_pixel(edges(image[:, 10], 80), (0, 30))
    assert within_a_pixel(edges(image[225], 200), (280, 320))


@pytest.mark.parametrize(
    ("fit", "across", "down"),
    [("contain", (60, 100), (0, 30)), ("cover", (0, 160), (0, 30)), ("fill", (0, 160), (0, 30))],
)
def test_a_box_is_filled_as_css_says(tmp_path, fit, across, down):
    image = film_of(tmp_path, Placed("a", 0, 0, 160, 30, fit)).at(0.9)
    assert within_a_pixel(edges(image[15], 80), across)
    assert within_a_pixel(edges(image[:, 80], 80), down)


def test_a_video_of_an_extreme_shape_is_not_scaled_to_any_size():
    box = Box(0, 0, 640, 2)
    assert placed(2, 4_096, box, "cover") == placed(2, 4_096, box, "contain")
    assert placed(640, 480, box, "cover") == Box(0, -240, 640, 480)


def test_the_image_changes_when_the_stylesheet_is_read_again(tmp_path):
    wanted = Composition(WIDTH, HEIGHT, Layout("custom"), has_audio=False)
    job = Composing(tmp_path, wanted)
    job.play(json_item(added("a", audio_ssrc=None)), *color(80, 30))
    layout = Layout("custom", placed=(Placed("a", 0, 0, 160, 120),))
    job.archive.set_layout(layout, ORIGIN_US + S)
    film = job.play(*color(80, 30, start_us=S)).finish()
    assert abs(film.at(0.9).mean() - BLACK) < 3
    assert abs(film.at(1.9)[60, 80] - 80) < 6
