"""How the streams of a session become one image and one audio track, as a job is told it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

LayoutName = Literal["bestFit", "pip", "verticalPresentation", "horizontalPresentation"]
Side = Annotated[int, Meta(ge=16, le=4_096, multiple_of=2)]


@dataclass(frozen=True, slots=True)
class Layout:
    """`screenshare`: the type while somebody shares a screen."""

    type: LayoutName = "bestFit"
    screenshare: LayoutName | None = None


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
