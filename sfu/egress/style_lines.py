"""Control lines to and from the process that reads one stylesheet: a question, an answer."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sfu.egress.composition import MAX_PLACED, MAX_STYLESHEET_CHARS, Placed, Side
from sfu.egress.control import Count, LineError, LineReader, Text

Root = Literal["archive", "broadcast"]
"""The element around the streams, as the vendor names it."""
Fault = Literal["declaration", "rule", "selector"]
"""What of a stylesheet cannot be read."""


class StyledStream(Struct, frozen=True):
    """An element `stream` with this id and these classes."""

    stream: Annotated[str, Meta(max_length=64)]
    classes: tuple[Text, ...] = ()


class StyleLine(Struct, tag_field="line", tag="style", frozen=True):
    """`streams`: in the order of their elements."""

    stylesheet: Annotated[str, Meta(max_length=MAX_STYLESHEET_CHARS)]
    root: Root
    width: Side
    height: Side
    streams: Annotated[tuple[StyledStream, ...], Meta(max_length=MAX_PLACED)]


class BoxesLine(Struct, tag_field="line", tag="boxes", frozen=True):
    """In the order of painting."""

    placed: Annotated[tuple[Placed, ...], Meta(max_length=MAX_PLACED)]


class FaultLine(Struct, tag_field="line", tag="fault", frozen=True):
    at: Count
    fault: Fault


class TooMuchLine(Struct, tag_field="line", tag="too_much", frozen=True):
    """It takes more than a stylesheet may."""


StyleUp = BoxesLine | FaultLine | TooMuchLine


class StyleReader(LineReader[StyleLine]):
    """The side of the process."""

    def __init__(self) -> None:
        super().__init__(StyleLine)


class StyleUpReader(LineReader[StyleUp]):
    """The server's side."""

    def __init__(self) -> None:
        super().__init__(StyleUp)


def check_answer(answer: StyleUp, asked: StyleLine) -> None:
    """An application wrote the stylesheet, and may have taken over what reads it.

    Errors: `LineError` for what is no answer to this question."""
    if isinstance(answer, BoxesLine):
        names = [one.stream for one in answer.placed]
        if len(set(names)) != len(names) or not set(names) <= {one.stream for one in asked.streams}:
            raise LineError("boxes of other streams")
    elif isinstance(answer, FaultLine) and answer.at > asked.stylesheet.count("\n") + 1 + (
        asked.stylesheet.count("\r") + asked.stylesheet.count("\f")
    ):
        raise LineError("there is no such line")
