"""What the server and a member service say to each other: JSON, one line in one WebSocket message.

A member service records an encrypted session for its customer, as one of its members that holds the
secret. The server asks for archives and is told what became of them; no line has media, a
secret, or anything that is made of one. Each side takes the other for an attacker: lines are
bounded, and what is not one ends the connection.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from sfu.egress.composition import Composition, Layout
from sfu.egress.control import MAX_NUMBER, NOT_JSON, Count, Line, LineError

PATH = "/v1/member"
MAX_LINE_BYTES = 524_288
"""A layout with the longest stylesheet, or a stream with the longest names and classes."""
HEARTBEAT_S = 15.0
"""Either side is lost when it does not answer a ping within half of this."""
FIRST_LINE_S = 10.0
MAX_CLASSES = 64
MAX_CLASS_CHARS = 1_000

Feature = Literal["archive"]
Kind = Literal["audio", "video"]
Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ArchiveId = Annotated[
    str, Meta(pattern="^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
]
SessionId = Annotated[str, Meta(pattern=r"^[0-9]_[A-Za-z0-9_-]{1,253}$")]
Words = Annotated[str, Meta(max_length=1_000)]
Classes = Annotated[
    list[Annotated[str, Meta(max_length=MAX_CLASS_CHARS)]], Meta(max_length=MAX_CLASSES)
]


# --- from the server ---------------------------------------------------------------------------


class RegisteredLine(Struct, tag_field="line", tag="registered", frozen=True):
    """The answer to `offer`: from now on there may be something to record."""


class ArchiveLine(Struct, tag_field="line", tag="archive", frozen=True, omit_defaults=True):
    """An archive to record. `composition`: as one file of all streams; without it each has its
    own."""

    archive: ArchiveId
    session: SessionId
    name: Words
    created_unix_ms: Count
    composition: Composition | None = None


class StreamLine(Struct, tag_field="line", tag="stream", frozen=True, omit_defaults=True):
    """A stream of the session belongs to the archive from now on, with these kinds of media."""

    archive: ArchiveId
    stream: Id
    kinds: Annotated[list[Kind], Meta(min_length=1, max_length=2)]
    connection_data: Words = ""
    video_type: Annotated[str, Meta(max_length=64)] = ""
    name: Words = ""
    layout_class_list: Classes = []


class StreamGoneLine(Struct, tag_field="line", tag="streamGone", frozen=True):
    archive: ArchiveId
    stream: Id


class ForwardLine(Struct, tag_field="line", tag="forward", frozen=True):
    """Whether one kind of a stream's media goes into the archive."""

    archive: ArchiveId
    stream: Id
    kind: Kind
    on: bool


class MutedLine(Struct, tag_field="line", tag="muted", frozen=True):
    archive: ArchiveId
    stream: Id
    kind: Kind
    muted: bool


class ClassesLine(Struct, tag_field="line", tag="classes", frozen=True):
    archive: ArchiveId
    stream: Id
    layout_class_list: Classes


class SwitchLine(Struct, tag_field="line", tag="switch", frozen=True):
    """Off: nothing is written and time does not count until it is on again."""

    archive: ArchiveId
    on: bool


class ArrangeLine(Struct, tag_field="line", tag="layout", frozen=True):
    """Of a composed archive."""

    archive: ArchiveId
    layout: Layout


class StopLine(Struct, tag_field="line", tag="stop", frozen=True):
    """The member finishes the file. `abort`: nobody waits for it any more."""

    archive: ArchiveId
    reason: Annotated[str, Meta(max_length=64)]
    abort: bool = False


ToMember = (
    RegisteredLine
    | ArchiveLine
    | StreamLine
    | StreamGoneLine
    | ForwardLine
    | MutedLine
    | ClassesLine
    | SwitchLine
    | ArrangeLine
    | StopLine
)
OfArchive = (
    StreamLine
    | StreamGoneLine
    | ForwardLine
    | MutedLine
    | ClassesLine
    | SwitchLine
    | ArrangeLine
    | StopLine
)
"""What follows the line that begins an archive."""


# --- from a member -----------------------------------------------------------------------------


class OfferLine(Struct, tag_field="line", tag="offer", frozen=True):
    """The first line: what the operator of the member lets it do."""

    features: Annotated[list[Feature], Meta(min_length=1, max_length=8)]


class JoinedLine(Struct, tag_field="line", tag="joined", frozen=True):
    """The member is in the session, as this connection."""

    archive: ArchiveId
    connection: Id


class MemberProgressLine(Struct, tag_field="line", tag="progress", frozen=True):
    archive: ArchiveId
    recorded_ms: Count
    size_bytes: Count


class MemberDoneLine(Struct, tag_field="line", tag="done", frozen=True):
    """The file is complete, and stays where the member is."""

    archive: ArchiveId
    size_bytes: Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    recorded_ms: Count


MemberFailure = Literal[
    "no_media", "disk_full", "storage", "child_lost", "refused", "no_capacity", "join_failed"
]
"""Why there is no file. `refused`: the operator of the member does not let it record the session;
`join_failed`: it could not become a member of the session as it has to be."""


class MemberFailedLine(Struct, tag_field="line", tag="failed", frozen=True):
    archive: ArchiveId
    code: MemberFailure


FromMember = OfferLine | JoinedLine | MemberProgressLine | MemberDoneLine | MemberFailedLine
ArchiveReport = JoinedLine | MemberProgressLine | MemberDoneLine | MemberFailedLine


_TO_MEMBER: msgspec.json.Decoder[ToMember] = msgspec.json.Decoder(ToMember)
_FROM_MEMBER: msgspec.json.Decoder[FromMember] = msgspec.json.Decoder(FromMember)


def encode(line: Struct) -> str:
    return msgspec.json.encode(line).decode()


def read_to_member(text: str) -> ToMember:
    """Errors: `LineError`."""
    return _read(_TO_MEMBER, text)


def read_from_member(text: str) -> FromMember:
    """Errors: `LineError`."""
    return _read(_FROM_MEMBER, text)


def _read(decoder: "msgspec.json.Decoder[Line]", text: str) -> Line:
    if len(text) > MAX_LINE_BYTES:
        raise LineError("the line is too long")
    try:
        return decoder.decode(text)
    except NOT_JSON as cause:
        raise LineError("not a line of a member service") from cause
