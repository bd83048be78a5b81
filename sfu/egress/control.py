"""Control lines between the server and a child: JSON, numbered in each direction.

A line holds no media, and of secrets the names of streams on RTMP servers only. A line that is
malformed or out of order ends the connection: its other side is not what it should be.
"""

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from sfu.egress.composition import Composition, Layout
from sfu.egress.live_outputs import LiveOutputs

MAX_LINE_BYTES = 4_194_304
"""A job's line lists its streams; 1,000 with connection data of 1 KB are 1.3 MB."""


MAX_NUMBER = 2**53
"""Counts, sizes and times end far below; storage and JSON hold all of these."""

NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON, or not of the type: the second one for text that
is not UTF-8, the third one for brackets within brackets, in members that no type names too."""

Count = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
Time = Annotated[int, Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
"""Packets may be a little older than the archive that they begin."""
Text = Annotated[str, Meta(max_length=4_096)]


class JobLine(Struct, tag_field="line", tag="job", frozen=True):
    """The whole state of a job as it is now. A restarted child needs no history."""

    archive: Text
    folder: Text
    session: Text
    name: Text
    created_unix_ms: Count
    origin_us: Time  # CLOCK_MONOTONIC at created_unix_ms
    hold_ms: Count
    recover: bool = False
    paused_at_us: Time | None = None
    streams: list[dict[str, Any]] | None = None
    composition: Composition | None = None
    live: LiveOutputs | None = None


class LayoutLine(Struct, tag_field="line", tag="layout", frozen=True):
    layout: Layout
    at_us: Time


class RecordLine(Struct, tag_field="line", tag="record", frozen=True):
    on: bool
    at_us: Time


class FinishLine(Struct, tag_field="line", tag="finish", frozen=True):
    reason: Text


class ReadyLine(Struct, tag_field="line", tag="ready", frozen=True):
    """The child has its job and its folder, and has given up all else that it can. `landlock`: the
    version that holds; 0 where the kernel has none."""

    landlock: Annotated[int, Meta(ge=0, le=1_000)] = 0


class RecordingLine(Struct, tag_field="line", tag="recording", frozen=True):
    from_us: Time


IgnoredReason = Literal[
    "frame_too_large",
    "implausible_time",
    "malformed_event",
    "not_decoded",
    "not_in_a_file",
    "paused",
    "too_many_parts",
    "too_many_streams",
    "unknown_item",
    "unknown_track",
]
"""Why what came from the tap is in no file."""


class ProgressLine(Struct, tag_field="line", tag="progress", frozen=True):
    """Every second, also while files are completed: silence means that the child hangs."""

    recorded_ms: Count
    size_bytes: Count
    ignored: dict[IgnoredReason, Count] = {}


class OutputLine(Struct, tag_field="line", tag="output", frozen=True):
    """An output of a broadcast is something else now: `hls`, or the RTMP target of that id. Which
    of them a process may report is in `child_reports`."""

    output: Text
    status: Literal["connecting", "ready", "live", "offline", "error"]


class DoneLine(Struct, tag_field="line", tag="done", frozen=True):
    """The file is complete. What it is the server finds out by itself (`finished_files`)."""

    recorded_ms: Count


class FailedLine(Struct, tag_field="line", tag="failed", frozen=True):
    code: Literal["no_media", "disk_full", "storage", "child_lost"]
    text: Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


Down = JobLine | LayoutLine | RecordLine | FinishLine
Up = ReadyLine | RecordingLine | ProgressLine | OutputLine | DoneLine | FailedLine


Line = TypeVar("Line")


class _Envelope(Struct, Generic[Line], frozen=True):
    n: Count
    body: Line


class LineError(Exception):
    """The other side sent what is no line, or not the next one."""


class LineWriter:
    """Numbers the lines of one direction."""

    def __init__(self) -> None:
        self._n = 0

    def encode(self, body: Struct) -> bytes:
        self._n += 1
        return msgspec.json.encode({"n": self._n, "body": body}) + b"\n"


class LineReader(Generic[Line]):
    """Reads the lines of one direction: those of `kinds`, a union of their types."""

    def __init__(self, kinds: Any) -> None:  # noqa: ANN401 - a union is not a type to mypy
        self._decoder: msgspec.json.Decoder[_Envelope[Line]] = msgspec.json.Decoder(
            _Envelope[kinds]
        )
        self._n = 0

    def decode(self, line: bytes) -> Line:
        """Errors: `LineError`."""
        try:
            envelope = self._decoder.decode(line)
        except NOT_JSON as cause:
            raise LineError("not a control line") from cause
        self._n += 1
        if envelope.n != self._n:
            raise LineError(f"line {envelope.n} came in the place of {self._n}")
        return envelope.body


class DownReader(LineReader[Down]):
    """The side of a recording process."""

    def __init__(self) -> None:
        super().__init__(Down)


class UpReader(LineReader[Up]):
    """The server's side of a recording process."""

    def __init__(self) -> None:
        super().__init__(Up)
