"""The operations of REST on the live sessions of this node."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from signaling.domain.session_options import SessionRecord
from signaling.protocol.messages import VideoType
from signaling.sessions.explanation import Explanation


@dataclass(frozen=True, slots=True)
class LiveStream:
    """`video_type`: camera, screen or custom; None for a stream without video."""

    stream_id: str
    video_type: VideoType | None
    name: str
    layout_classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveConnection:
    connection_id: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session with clients in it, and how many of them and of their streams there are."""

    record: SessionRecord
    connections: int
    streams: int


@dataclass(frozen=True, slots=True)
class Counts:
    sessions: int
    connections: int
    streams: int


class LiveSessions(Protocol):
    """Errors are those of the domain: `stream_not_found`, `connection_not_found`,
    `nobody_connected`, `signal_too_long`, `invalid_parameter`. An empty session has no streams and
    no connections; REST does not open it."""

    async def signal(
        self, record: SessionRecord, to: str | None, type_: str | None, data: str
    ) -> None:
        """Sends an unencrypted signal of the application to one connection or to all."""

    async def sessions(self, project_id: str) -> Sequence[LiveSession]:
        """Those of the project with clients in them, oldest first."""

    async def streams(self, record: SessionRecord) -> Sequence[LiveStream]: ...
    async def connections(self, record: SessionRecord) -> Sequence[LiveConnection]: ...
    async def set_layout_classes(
        self, record: SessionRecord, classes: dict[str, tuple[str, ...]]
    ) -> None:
        """Sets classes by stream id; if one id is unknown, none is changed."""

    async def force_disconnect(self, record: SessionRecord, connection_id: str) -> None: ...
    async def force_mute_stream(self, record: SessionRecord, stream_id: str) -> None: ...
    async def explain(self, record: SessionRecord, stream_id: str) -> Explanation:
        """Takes the time of a measurement. Errors: `stream_not_found`."""

    async def force_mute_all(
        self, record: SessionRecord, *, active: bool, excluded: tuple[str, ...]
    ) -> None: ...
