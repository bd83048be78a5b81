"""Control lines between the server and the process of a render.

The first line holds the client's token and the page's address, which may be a secret too: both go
to the process, from there to the browser over a pipe, and nowhere else.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sfu.egress.control import Count, LineReader, Text
from sfu.egress.run_lines import LeaveLine

Address = tuple[Text, Count]


class RenderLine(Struct, tag_field="line", tag="render", frozen=True):
    """`http`: where the server's signaling listens, with TLS if `secure`. `media`: pairs of an
    address that clients are told and where it is on this machine. `allowed_networks`: beside public
    addresses. `load_s`, `hang_s`, `memory_mb`: what the page may take. `waits`: an empty page is
    captured until `ShowLine`."""

    chromium: Text
    bwrap: Text
    url: Text
    api_key: Text
    session: Text
    token: Annotated[str, Meta(max_length=8_192)]
    name: Text
    width: Count
    height: Count
    load_s: Count
    hang_s: Count
    memory_mb: Count
    waits: bool
    allowed_networks: Text
    http: Address
    secure: bool
    media: list[tuple[Address, Address]]

    def __repr__(self) -> str:
        return "RenderLine(redacted)"


class ShowLine(Struct, tag_field="line", tag="show", frozen=True):
    """To a process that waits: show the page."""


class ShowingLine(Struct, tag_field="line", tag="showing", frozen=True):
    """A process that waited begins to."""


class PublishedLine(Struct, tag_field="line", tag="published", frozen=True):
    """The page is published."""

    connection: Annotated[str, Meta(max_length=64)]
    stream: Annotated[str, Meta(max_length=64)]


class CrashedLine(Struct, tag_field="line", tag="crashed", frozen=True):
    """A browser did not begin; another one takes its place."""


RenderCount = Literal[
    "bytes", "connections", "connections_refused", "requests_failed", "requests_refused"
]


class BeatLine(Struct, tag_field="line", tag="beat", frozen=True):
    """Every second: silence means that the process hangs."""

    counts: dict[RenderCount, Count] = {}


class EndLine(Struct, tag_field="line", tag="end", frozen=True):
    """`page`: it cannot be shown, and `text` says why; `refused`: the session does not take it,
    the same; `start`: no browser captures; `crashed`: one that showed it is gone; `unpublished`:
    the session ended the stream or the client."""

    how: Literal["page", "refused", "start", "crashed", "unpublished"]
    text: Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""


RenderDown = RenderLine | ShowLine | LeaveLine
RenderUp = ShowingLine | PublishedLine | CrashedLine | BeatLine | EndLine


class RenderDownReader(LineReader[RenderDown]):
    """The process's side."""

    def __init__(self) -> None:
        super().__init__(RenderDown)


class RenderUpReader(LineReader[RenderUp]):
    """The server's side."""

    def __init__(self) -> None:
        super().__init__(RenderUp)
