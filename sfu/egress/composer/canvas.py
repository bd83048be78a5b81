"""The image: tiles scaled, letterboxed and painted onto a canvas, planes of YUV 4:2:0.

What did not change is not scaled again. An image that an encoder got is never written to: each is
a copy of the canvas.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from sfu.egress.child.layout import Box
from sfu.egress.child.plan import Content, Shown
from sfu.egress.composition import Fit

Plane = NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]

_BLACK = (16, 128, 128)
_GREY, _LIGHT, _SIGN = 52, 110, 170
"""Luma of a tile without video, of its figure, and of the sign that nothing comes."""
_LIMITED = 1
"""FFmpeg's AVCOL_RANGE_MPEG: the range of luma that players expect of video."""
_MOST_SIDE = 8_192
"""Pixels. To cover a box, video of an extreme shape would be scaled to any size; beyond this it is
fitted."""


@dataclass(frozen=True, slots=True)
class Image:
    """A decoded frame. `degrees`: how far a viewer turns it clockwise. `number` tells frames of a
    stream apart."""

    frame: av.VideoFrame
    number: int
    degrees: int = 0


@dataclass(slots=True)
class _Painted:
    box: Box
    fit: Fit
    what: object


class Canvas:
    """The size is even."""

    def __init__(self, width: int, height: int) -> None:
        self._planes = _blank(width, height, _BLACK)
        self._size = (width, height)
        self._painted: dict[str, _Painted] = {}
        self._scalers: dict[str, VideoReformatter] = {}

    def paint(self, shown: Sequence[Shown], images: dict[str, Image]) -> None:
        """Brings the canvas to this state. `images` has one for each stream with
        `Content.FRAME`."""
        places = [(name, one.box, one.fit) for name, one in self._painted.items()]
        if [(one.stream, one.box, one.fit) for one in shown] != places:
            self._clear()
        repainted: list[Box] = []
        for one in shown:
            image = images.get(one.stream) if one.content is Content.FRAME else None
            what = one.content if image is None else image.number
            before = self._painted.get(one.stream)
            is_same = before is not None and before.what == what
            if is_same and not any(_overlap(one.box, box) for box in repainted):
                continue
            self._paint_tile(one, image)
            self._painted[one.stream] = _Painted(one.box, one.fit, what)
            repainted.append(one.box)

    def copy(self) -> av.VideoFrame:
        """The image as it is now, which nobody writes to any more."""
        width, height = self._size
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane, content in zip(frame.planes, self._planes, strict=True):
            _view(plane)[: content.shape[0], : content.shape[1]] = content
        frame.color_range = _LIMITED
        return frame

    def forget(self, stream: str) -> None:
        self._scalers.pop(stream, None)
        if painted := self._painted.get(stream):
            painted.what = None

    def _clear(self) -> None:
        for plane, value in zip(self._planes, _BLACK, strict=True):
            plane[:] = value
        self._painted.clear()

    def _paint_tile(self, one: Shown, image: Image | None) -> None:
        box, visible = one.box, _common(one.box, Box(0, 0, *self._size))
        if visible.width <= 0 or visible.height <= 0:
            return
        if image is None:
            with_sign = one.content is Content.NO_VIDEO
            figure = _figure(visible.width, visible.height, with_sign=with_sign)
            self._put(visible, figure, visible)
            return
        is_turned = image.degrees % 180 == 90
        source = (image.frame.width, image.frame.height)
        inner = placed(*(source[::-1] if is_turned else source), box, one.fit)
        if inner != box:
            self._put(visible, _blank(visible.width, visible.height, _BLACK), visible)
        scaled = self._scaled(one.stream, image, inner, is_turned=is_turned)
        self._put(inner, scaled, visible)

    def _scaled(self, stream: str, image: Image, inner: Box, *, is_turned: bool) -> Planes:
        scaler = self._scalers.setdefault(stream, VideoReformatter())
        size = (inner.width, inner.height)
        width, height = size[::-1] if is_turned else size
        frame = scaler.reformat(
            image.frame,
            width,
            height,
            "yuv420p",
            interpolation="BILINEAR",
            dst_color_range=_LIMITED,
            threads=1,  # FFmpeg's own choice is one for each core, which this process may not start
        )
        planes = [_view(plane)[: plane.height, : plane.width].copy() for plane in frame.planes]
        turns = -(image.degrees // 90) % 4
        y, u, v = (np.rot90(plane, turns) for plane in planes)
        return y, u, v

    def _put(self, box: Box, content: Planes, within: Box) -> None:
        """What of the content is in the other box, which is on the canvas."""
        part = _common(box, within)
        for at, (plane, source) in enumerate(zip(self._planes, content, strict=True)):
            half = 1 if at == 0 else 2
            top, left, height, width = (
                size // half for size in (part.y, part.x, part.height, part.width)
            )
            down, right = top - box.y // half, left - box.x // half
            plane[top : top + height, left : left + width] = source[
                down : down + height, right : right + width
            ]


def placed(width: int, height: int, box: Box, fit: Fit) -> Box:
    """Where an image of that shape is for a box: in it, over it, or as the box is. What is outside
    of the box is not seen."""
    if fit == "fill":
        return box
    if fit == "cover":
        scale = max(Fraction(box.width, width), Fraction(box.height, height))
        outer_width, outer_height = (round(side * scale / 2) * 2 for side in (width, height))
        if max(outer_width, outer_height) <= _MOST_SIDE:
            left = box.x + (box.width - outer_width) // 4 * 2
            top = box.y + (box.height - outer_height) // 4 * 2
            return Box(left, top, outer_width, outer_height)
    return fitted(width, height, box)


def fitted(width: int, height: int, box: Box) -> Box:
    """The largest place in the box for an image of that shape, in its middle."""
    scale = min(Fraction(box.width, width), Fraction(box.height, height))
    inner_width = min(box.width, max(2, round(width * scale / 2) * 2))
    inner_height = min(box.height, max(2, round(height * scale / 2) * 2))
    left = box.x + (box.width - inner_width) // 4 * 2
    top = box.y + (box.height - inner_height) // 4 * 2
    return Box(left, top, inner_width, inner_height)


def _common(one: Box, other: Box) -> Box:
    """Without a size where they have nothing in common."""
    left, top = max(one.x, other.x), max(one.y, other.y)
    right = min(one.x + one.width, other.x + other.width)
    bottom = min(one.y + one.height, other.y + other.height)
    return Box(left, top, right - left, bottom - top)


def _overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def _view(plane: Any) -> Plane:  # noqa: ANN401 - its type does not say that it is a buffer
    """The plane's own memory, with what pads its lines."""
    lines: Plane = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return lines


def _blank(width: int, height: int, values: tuple[int, int, int]) -> Planes:
    luma, *chroma = values
    small = (height // 2, width // 2)
    return (
        np.full((height, width), luma, np.uint8),
        np.full(small, chroma[0], np.uint8),
        np.full(small, chroma[1], np.uint8),
    )


@lru_cache(maxsize=64)
def _figure(width: int, height: int, *, with_sign: bool) -> Planes:
    """A head and shoulders; with the sign, a stroke across."""
    planes = _blank(width, height, (_GREY, 128, 128))
    y, x = np.mgrid[0:height, 0:width]
    unit = min(width, height) / 100
    right, down = (x - width / 2) / unit, (y - height / 2) / unit
    head = right**2 + (down + 14) ** 2 < 15**2
    shoulders = ((right / 28) ** 2 + ((down - 34) / 26) ** 2 < 1) & (down < 34)
    planes[0][head | shoulders] = _LIGHT
    if with_sign:
        planes[0][(np.abs(right - down) < 3) & (np.abs(right) < 36)] = _SIGN
    return planes
