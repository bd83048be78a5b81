"""How the streams of a session become one image and one audio track, as a job is told it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

Predefined = Literal["bestFit", "pip", "verticalPresentation", "horizontalPresentation"]
LayoutName = Literal[Predefined, "custom"]
Fit = Literal["contain", "cover", "fill"]
Side = Annotated[int, Meta(ge=16, le=4_096, multiple_of=2)]
Offset = Annotated[int, Meta(ge=-16_384, le=16_384, multiple_of=2)]
Extent = Annotated[int, Meta(ge=2, le=8_192, multiple_of=2)]

MAX_PLACED = 16
"""Streams in one image, as the vendor documents."""
MAX_STYLESHEET_CHARS = 65_536


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a stylesheet puts a stream, in pixels of the image; it may reach beyond the image.
    `fit`: how its video fills that place, as CSS names it."""

    stream: Annotated[str, Meta(max_length=64)]
    x: Offset
    y: Offset
    width: Extent
    height: Extent
    fit: Fit = "contain"


@dataclass(frozen=True, slots=True)
class Layout:
    """`screenshare`: the type while somebody shares a screen. Of the type `custom`: `stylesheet` is
    what the application wrote, `placed` where it puts the streams, in the order of painting."""

    type: LayoutName = "bestFit"
    screenshare: Predefined | None = None
    stylesheet: Annotated[str, Meta(max_length=MAX_STYLESHEET_CHARS)] | None = None
    placed: Annotated[tuple[Placed, ...], Meta(max_length=MAX_PLACED)] = ()


@dataclass(frozen=True, slots=True)
class Composition:
    """`bitrate_bps` bounds the video; `quantization` is a constant quality in its place."""

    width: Side
    height: Side
    layout: Layout
    has_audio: bool = True
    has_video: bool = True
    bitrate_bps: Annotated[int, Meta(ge=1_000, le=100_000_000)] | None = None
    quantization: Annotated[int, Meta(ge=0, le=51)] | None = None
