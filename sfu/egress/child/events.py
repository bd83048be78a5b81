"""What happens to an archive, as the tap reports it and as its journal keeps it.

Times named `at_us`, `from_us`, `to_us`, `start_us` and `stop_us` are those of the archive.
"""

from typing import Any

from msgspec import Struct, field


class TrackAdded(Struct, frozen=True, rename="camel"):
    ssrc: int
    kind: str
    codec: str


class StreamAdded(Struct, frozen=True, rename="camel", tag_field="event", tag="streamAdded"):
    stream: str
    tracks: list[TrackAdded]
    connection_data: str = ""
    video_type: str = ""
    layout_class_list: list[str] = field(default_factory=list)
    name: str = ""

    def has(self, kind: str) -> bool:
        return any(track.kind == kind for track in self.tracks)


class StreamRemoved(Struct, frozen=True, tag_field="event", tag="streamRemoved"):
    stream: str
    reason: str = ""


class TrackMuted(Struct, frozen=True, tag_field="event", tag="muted"):
    stream: str
    kind: str
    muted: bool


class ClassesChanged(Struct, frozen=True, rename="camel", tag_field="event", tag="layoutClassList"):
    stream: str
    layout_class_list: list[str]


TapEvent = StreamAdded | StreamRemoved | TrackMuted | ClassesChanged


class Began(Struct, frozen=True, tag_field="entry", tag="began"):
    """The job, repeated by each child: a child that follows another one reads what it left."""

    archive: str
    session: str
    name: str
    created_unix_ms: int
    origin_us: int


class Came(Struct, frozen=True, tag_field="entry", tag="came"):
    at_us: int
    added: dict[str, Any]  # a StreamAdded with all members that the reader of packets needs


class Left(Struct, frozen=True, tag_field="entry", tag="left"):
    stream: str


class Opened(Struct, frozen=True, tag_field="entry", tag="opened"):
    file: str
    stream: str
    start_us: int
    after_restart: bool = False


class Closed(Struct, frozen=True, tag_field="entry", tag="closed"):
    """The file has its index; without this entry it still needs one."""

    file: str
    stop_us: int


class Gap(Struct, frozen=True, tag_field="entry", tag="gap"):
    file: str
    from_us: int
    to_us: int
    reason: str


class Muted(Struct, frozen=True, tag_field="entry", tag="muted"):
    stream: str
    kind: str
    muted: bool
    at_us: int


class Classes(Struct, frozen=True, tag_field="entry", tag="classes"):
    stream: str
    classes: list[str]
    at_us: int
    unix_ms: int


class Rotated(Struct, frozen=True, tag_field="entry", tag="rotated"):
    file: str
    at_us: int
    degrees: int


class Recording(Struct, frozen=True, tag_field="entry", tag="recording"):
    """Paused or resumed, in the host's time: a later child needs the same clock."""

    on: bool
    host_us: int


Entry = Began | Came | Left | Opened | Closed | Gap | Muted | Classes | Rotated | Recording
