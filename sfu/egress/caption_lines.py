"""Control lines between the server and a process that captions."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sfu.egress.control import Count, LineReader, Text
from sfu.egress.run_lines import LeaveLine

MAX_CAPTION_CHARS = 1_000
"""Of one caption: a minute of fast speech."""
Caption = Annotated[
    str,
    Meta(min_length=1, max_length=MAX_CAPTION_CHARS, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$"),
]


class CaptionJobLine(Struct, tag_field="line", tag="caption job", frozen=True):
    language: Text
    partials: bool
    hold_ms: Count


class ListeningLine(Struct, tag_field="line", tag="listening", frozen=True):
    """It recognizes what it hears from now on. `landlock`: the version that holds; 0 where the
    kernel has none."""

    landlock: Annotated[int, Meta(ge=0, le=1_000)] = 0


class CaptionLine(Struct, tag_field="line", tag="caption", frozen=True):
    """What somebody says. Another caption of the stream takes the place of one that is not
    final."""

    stream: Annotated[str, Meta(min_length=1, max_length=64)]
    text: Caption
    is_final: bool

    def __repr__(self) -> str:
        return "CaptionLine(redacted)"


CaptionCount = Literal[
    "phrases", "blocks_dropped", "late_packets", "undecodable_packets", "streams_left_out"
]


class CaptionBeatLine(Struct, tag_field="line", tag="caption beat", frozen=True):
    """Every second: silence means that the process hangs."""

    counts: dict[CaptionCount, Count] = {}


CaptionDown = CaptionJobLine | LeaveLine
CaptionUp = ListeningLine | CaptionLine | CaptionBeatLine


class CaptionDownReader(LineReader[CaptionDown]):
    """The process's side."""

    def __init__(self) -> None:
        super().__init__(CaptionDown)


class CaptionUpReader(LineReader[CaptionUp]):
    """The server's side."""

    def __init__(self) -> None:
        super().__init__(CaptionUp)
