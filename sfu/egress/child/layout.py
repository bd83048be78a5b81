"""Where the streams of a session are in a composed image; pure.

All sizes are pixels and even, because chroma has half of them. The order of the tiles is that of
painting: a later one may lie over an earlier one, in `pip` and in custom layouts. The boxes of
those come from a stylesheet, which is read elsewhere (`sfu/egress/styling`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction

from sfu.egress.composition import MAX_PLACED, Fit, Placed

MAX_VIDEOS = MAX_PLACED
MAX_ASIDE = 5
"""Streams beside the one in focus."""
FOCUS, FULL = "focus", "full"
"""Layout classes that a layout knows."""
_FOCUS_SHARE = Fraction(4, 5)
_PIP_SHARE = Fraction(1, 4)
_PIP_MARGIN = Fraction(1, 50)
_WIDEST, _NARROWEST = Fraction(16, 9), Fraction(4, 3)


class LayoutType(StrEnum):
    BEST_FIT = "bestFit"
    PIP = "pip"
    VERTICAL = "verticalPresentation"
    HORIZONTAL = "horizontalPresentation"


@dataclass(frozen=True, slots=True)
class LayoutRule:
    """`screenshare`: the type while somebody shares a screen, which then has the focus. `placed`:
    where the streams are in place of a type, in the order of painting."""

    type: LayoutType = LayoutType.BEST_FIT
    screenshare: LayoutType | None = None
    placed: tuple[Placed, ...] | None = None


@dataclass(frozen=True, slots=True)
class Placeable:
    """A stream as a layout sees it. `has_video`: it has a video track, muted or not: a mute moves
    nobody. `since` orders streams by age."""

    stream: str
    since: int
    has_video: bool = True
    is_screen: bool = False
    classes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Box:
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Tile:
    """`fit`: how video of another shape fills the box."""

    stream: str
    box: Box
    fit: Fit = "contain"


@dataclass(frozen=True, slots=True)
class _Kind:
    """One type: the class that it names, and where it puts so many streams, the first of them
    being that of the class."""

    named: str | None
    most: int
    boxes: Callable[[int, int, int], list[Box]]


def tiles(rule: LayoutRule, streams: Sequence[Placeable], width: int, height: int) -> list[Tile]:
    """The tiles of an image of that size, in the order of painting. Streams for which there is no
    place are left out."""
    if rule.placed is not None:
        present = {one.stream for one in streams}
        return [_tile(one) for one in rule.placed if one.stream in present]
    screen = _shared_screen(rule, streams)
    kind = _KINDS[rule.type if screen is None or rule.screenshare is None else rule.screenshare]
    if screen is not None and kind.named is not None:
        # The newest screen alone has the class: two of them would hide each other.
        streams = [_with_class(one, kind.named, has=one.stream == screen) for one in streams]
    ordered = _in_order(streams, kind.named, screen)
    if kind.named == FULL:
        ordered = ordered[:1] + sorted(ordered[1:], key=lambda one: FULL in one.classes)
    shown = ordered[: kind.most]
    boxes = kind.boxes(len(shown), width, height)
    return [Tile(one.stream, box) for one, box in zip(shown, boxes, strict=True)]


def _tile(placed: Placed) -> Tile:
    return Tile(placed.stream, Box(placed.x, placed.y, placed.width, placed.height), placed.fit)


def _shared_screen(rule: LayoutRule, streams: Sequence[Placeable]) -> str | None:
    """The newest one, where the rule treats screens apart."""
    if rule.screenshare is None:
        return None
    screens = [one for one in streams if one.is_screen]
    return max(screens, key=lambda one: one.since).stream if screens else None


def _with_class(stream: Placeable, name: str, *, has: bool) -> Placeable:
    return replace(stream, classes=stream.classes - {name} | ({name} if has else set()))


def _in_order(
    streams: Sequence[Placeable], named: str | None, screen: str | None
) -> list[Placeable]:
    """By priority. It depends on nothing that changes often, so that a stream that leaves closes
    its gap and nobody moves by more than one place."""
    return sorted(
        streams,
        key=lambda one: (
            named not in one.classes,
            one.stream != screen,
            not one.has_video,
            one.since,
            one.stream,
        ),
    )


# --- the types ---------------------------------------------------------------------------


def _best_fit(count: int, width: int, height: int) -> list[Box]:
    """The grid with the largest tile; the last row is centered."""
    if not count:
        return []
    grids = [_grid(count, columns, width, height) for columns in range(1, count + 1)]
    columns, tile_width, tile_height = max(
        grids, key=lambda one: (one[1] * one[2], -(-count % one[0]), one[0])
    )
    rows = -(-count // columns)
    top = _even((height - rows * tile_height) // 2)
    boxes = []
    for at in range(count):
        row, column = divmod(at, columns)
        in_row = min(columns, count - row * columns)
        left = _even((width - in_row * tile_width) // 2)
        boxes.append(
            Box(left + column * tile_width, top + row * tile_height, tile_width, tile_height)
        )
    return boxes


def _grid(count: int, columns: int, width: int, height: int) -> tuple[int, int, int]:
    """Columns, and the size of a tile. A tile of a wide image is between 4:3 and 16:9; of a high
    one it may also be as narrow as the image of a phone."""
    rows = -(-count // columns)
    cell_width, cell_height = Fraction(width, columns), Fraction(height, rows)
    narrowest = _NARROWEST if width >= height else 1 / _WIDEST
    tile_width = min(cell_width, cell_height * _WIDEST)
    tile_height = min(cell_height, cell_width / narrowest)
    return columns, _even(tile_width), _even(tile_height)


def _pip(count: int, width: int, height: int) -> list[Box]:
    """The second lies over the lower right corner of the first."""
    small_width, small_height = _even(width * _PIP_SHARE), _even(height * _PIP_SHARE)
    margin = _even(width * _PIP_MARGIN)
    small = Box(
        width - margin - small_width, height - margin - small_height, small_width, small_height
    )
    return [Box(0, 0, width, height), small][:count]


def _vertical(count: int, width: int, height: int) -> list[Box]:
    """The focus on the right, the others in a column on the left."""
    if count == 1:
        return [Box(0, 0, width, height)]
    aside, each = width - _even(width * _FOCUS_SHARE), _even(height // MAX_ASIDE)
    others = [Box(0, at * each, aside, each) for at in range(count - 1)]
    return [Box(aside, 0, width - aside, height), *others][:count]


def _horizontal(count: int, width: int, height: int) -> list[Box]:
    """The focus above, the others in a row below."""
    if count == 1:
        return [Box(0, 0, width, height)]
    above, each = _even(height * _FOCUS_SHARE), _even(width // MAX_ASIDE)
    others = [Box(at * each, above, each, height - above) for at in range(count - 1)]
    return [Box(0, 0, width, above), *others][:count]


_KINDS: Mapping[LayoutType, _Kind] = {
    LayoutType.BEST_FIT: _Kind(None, MAX_VIDEOS, _best_fit),
    LayoutType.PIP: _Kind(FULL, 2, _pip),
    LayoutType.VERTICAL: _Kind(FOCUS, 1 + MAX_ASIDE, _vertical),
    LayoutType.HORIZONTAL: _Kind(FOCUS, 1 + MAX_ASIDE, _horizontal),
}


def _even(size: Fraction | int) -> int:
    return int(size) // 2 * 2
