"""Archives: what is stored of each, and what each event makes of its status.

`step` is the only place where a status changes; the table in it is the whole rule. What does not
stand there does not happen: such an event came too late.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from sfu.egress.composition import Composition, Layout
from signaling.domain.errors import Conflict, ErrorCode

INDIVIDUAL_FILE, COMPOSED_FILE = "archive.zip", "archive.mp4"
"""What the file of an archive is called in its folder and in links."""
MAX_STREAMS = 50
"""Streams in one archive, as the vendor documents."""
MAX_LIFE_S = 12 * 3600
"""From the start of an archive to its stop, recorded or not, as the vendor documents."""


class StreamMode(StrEnum):
    AUTO = "auto"
    MANUAL = "manual"


class ArchiveStatus(StrEnum):
    """`stopped`: its file is being finished, or is on its way to a bucket. `uploaded`: the file is
    the customer's, in a bucket or where a member service recorded it."""

    STARTED = "started"
    PAUSED = "paused"
    STOPPED = "stopped"
    AVAILABLE = "available"
    UPLOADED = "uploaded"
    EXPIRED = "expired"
    FAILED = "failed"


class ArchiveEvent(StrEnum):
    """`child_lost`: what recorded is gone for good, and what it wrote is finished. Of those that a
    member service records, `file_kept` is the end, and what is lost with the member is not here."""

    STREAM_CAME = "stream_came"
    LAST_STREAM_LEFT = "last_stream_left"
    STOP = "stop"
    SESSION_EMPTY = "session_empty"
    SHUTDOWN = "shutdown"
    MAXIMUM = "maximum"
    IDLE = "idle"
    DISK_FULL = "disk_full"
    CHILD_LOST = "child_lost"
    FILE_DONE = "file_done"
    FILE_KEPT = "file_kept"
    MEMBER_LOST = "member_lost"
    MEMBER_REFUSED = "member_refused"
    NOTHING_RECORDED = "nothing_recorded"
    FILE_LOST = "file_lost"
    NO_ROOM = "no_room"
    KEPT_LONG = "kept_long"
    DELETE = "delete"


class ArchiveEffect(StrEnum):
    """What the shell does besides storing the record and reporting its new status."""

    PAUSE = "pause"
    RESUME = "resume"
    FINISH = "finish"
    """End the tap and finish the file; the clients are told that the archive stopped."""
    DELETE_FILES = "delete_files"
    FORGET = "forget"
    """Remove the record."""


class Reason(StrEnum):
    """Why an archive stopped, as the vendor spells it; the last three are ours."""

    NONE = ""
    USER = "user initiated"
    SESSION = "session ended"
    MAXIMUM = "maximum duration exceeded"
    IDLE = "maximum idle time exceeded"
    INTERNAL = "Internal server failure"
    STORAGE = "Not enough storage"
    MEMBER_LOST = "Member service lost"
    MEMBER_REFUSED = "Refused by the member service"


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One archive, as it is stored. `tag`: archives of one session at the same time differ in it.
    `sha256` is that of the file, in base64. `expires_ms`: when the file is deleted. `composition`:
    how its streams become one file; None: each has its own."""

    id: str
    project_id: str
    session_id: str
    name: str
    stream_mode: StreamMode
    has_audio: bool
    has_video: bool
    tag: str
    created_ms: int
    updated_ms: int
    status: ArchiveStatus = ArchiveStatus.STARTED
    reason: str = ""
    recorded_ms: int = 0
    size_bytes: int = 0
    sha256: str = ""
    expires_ms: int | None = None
    composition: Composition | None = None

    @property
    def file_name(self) -> str:
        return INDIVIDUAL_FILE if self.composition is None else COMPOSED_FILE

    @property
    def output_mode(self) -> Literal["composed", "individual"]:
        return "individual" if self.composition is None else "composed"

    @property
    def is_recording(self) -> bool:
        return self.status in RECORDING

    @property
    def duration_s(self) -> int:
        """Recorded time: what was paused does not count."""
        return (self.recorded_ms + 500) // 1000


@dataclass(frozen=True, slots=True)
class Arrow:
    """`to` is None for a deleted archive. `reason` is None where the earlier one stays."""

    to: ArchiveStatus | None
    reason: Reason | None = None
    effects: tuple[ArchiveEffect, ...] = ()


_S, _E, _F = ArchiveStatus, ArchiveEvent, ArchiveEffect
RECORDING = frozenset({_S.STARTED, _S.PAUSED})
UNFINISHED = RECORDING | {_S.STOPPED}
OVER = frozenset({_S.AVAILABLE, _S.UPLOADED, _S.FAILED})
"""Nothing works at it any more."""


def _stopped(reason: Reason) -> Arrow:
    return Arrow(_S.STOPPED, reason, (_F.FINISH,))


_WHILE_RECORDING: Mapping[ArchiveEvent, Arrow] = {
    _E.STOP: _stopped(Reason.USER),
    _E.SESSION_EMPTY: _stopped(Reason.SESSION),
    _E.SHUTDOWN: _stopped(Reason.SESSION),
    _E.IDLE: _stopped(Reason.IDLE),
    _E.DISK_FULL: _stopped(Reason.STORAGE),
    _E.CHILD_LOST: _stopped(Reason.INTERNAL),
    _E.NOTHING_RECORDED: Arrow(_S.FAILED, Reason.INTERNAL, (_F.FINISH, _F.DELETE_FILES)),
    _E.FILE_LOST: Arrow(_S.FAILED, Reason.INTERNAL, (_F.FINISH, _F.DELETE_FILES)),
    _E.NO_ROOM: Arrow(_S.FAILED, Reason.STORAGE, (_F.FINISH, _F.DELETE_FILES)),
    _E.MEMBER_LOST: Arrow(_S.FAILED, Reason.MEMBER_LOST, (_F.FINISH, _F.DELETE_FILES)),
    _E.MEMBER_REFUSED: Arrow(_S.FAILED, Reason.MEMBER_REFUSED, (_F.FINISH, _F.DELETE_FILES)),
}
_DELETED = Arrow(None, None, (_F.DELETE_FILES, _F.FORGET))
ARROWS: Mapping[ArchiveStatus, Mapping[ArchiveEvent, Arrow]] = MappingProxyType(
    {
        _S.STARTED: {
            **_WHILE_RECORDING,
            _E.LAST_STREAM_LEFT: Arrow(_S.PAUSED, None, (_F.PAUSE,)),
            _E.MAXIMUM: _stopped(Reason.MAXIMUM),
        },
        _S.PAUSED: {
            **_WHILE_RECORDING,
            _E.STREAM_CAME: Arrow(_S.STARTED, None, (_F.RESUME,)),
            _E.MAXIMUM: _stopped(Reason.IDLE),
        },
        _S.STOPPED: {
            _E.FILE_DONE: Arrow(_S.AVAILABLE),
            _E.FILE_KEPT: Arrow(_S.UPLOADED, None, (_F.DELETE_FILES,)),
            _E.NOTHING_RECORDED: Arrow(_S.FAILED, None, (_F.DELETE_FILES,)),
            _E.FILE_LOST: Arrow(_S.FAILED, Reason.INTERNAL, (_F.DELETE_FILES,)),
            _E.NO_ROOM: Arrow(_S.FAILED, Reason.STORAGE, (_F.DELETE_FILES,)),
            _E.MEMBER_LOST: Arrow(_S.FAILED, Reason.MEMBER_LOST, (_F.DELETE_FILES,)),
            _E.MEMBER_REFUSED: Arrow(_S.FAILED, Reason.MEMBER_REFUSED, (_F.DELETE_FILES,)),
        },
        _S.AVAILABLE: {
            _E.KEPT_LONG: Arrow(_S.EXPIRED, None, (_F.DELETE_FILES,)),
            _E.DELETE: _DELETED,
        },
        _S.UPLOADED: {_E.DELETE: _DELETED},
        _S.EXPIRED: {_E.DELETE: _DELETED},
        _S.FAILED: {_E.DELETE: _DELETED},
    }
)
"""Status → event → what becomes of it."""
_REFUSALS: Mapping[ArchiveEvent, ErrorCode] = {
    _E.STOP: ErrorCode.ARCHIVE_NOT_RECORDING,
    _E.DELETE: ErrorCode.ARCHIVE_NOT_DELETABLE,
}
"""Requests of applications, which are told when there is no arrow."""


def step(
    record: ArchiveRecord, event: ArchiveEvent, now_ms: int
) -> tuple[ArchiveRecord, tuple[ArchiveEffect, ...]]:
    """The record after an event, and what else to do. The same record: the event came too late.

    Errors: `archive_not_recording`, `archive_not_deletable`.
    """
    arrow = ARROWS[record.status].get(event)
    if arrow is None:
        if event in _REFUSALS:
            raise Conflict(_REFUSALS[event])
        return record, ()
    return replace(
        record,
        status=record.status if arrow.to is None else arrow.to,
        reason=record.reason if arrow.reason is None else arrow.reason.value,
        updated_ms=max(now_ms, record.updated_ms),
    ), arrow.effects


def archive_details(record: ArchiveRecord, url: str | None) -> dict[str, object]:
    """The members of a callback about an archive, beside those of every callback."""
    return {
        "id": record.id,
        "status": record.status.value,
        "name": record.name,
        "reason": record.reason,
        "partnerId": int(record.project_id),
        "createdAt": record.created_ms,
        "updatedAt": record.updated_ms,
        "size": record.size_bytes,
        "duration": record.duration_s,
        "outputMode": record.output_mode,
        **({} if record.composition is None else {"resolution": resolution_of(record.composition)}),
        "streamMode": record.stream_mode.value,
        "hasAudio": record.has_audio,
        "hasVideo": record.has_video,
        "url": url,
        "sha256sum": record.sha256,
        "password": "",
        "certificate": "",
        "multiArchiveTag": record.tag,
    }


DEFAULT_RESOLUTION = "640x480"


def composition_of(
    resolution: str | None,
    layout: Layout,
    *,
    has_audio: bool = True,
    has_video: bool = True,
    bitrate_bps: int | None = None,
    quantization: int | None = None,
) -> Composition:
    """What is composed for a resolution as REST names it, such as 1280x720."""
    width, _, height = (resolution or DEFAULT_RESOLUTION).partition("x")
    return Composition(
        int(width), int(height), layout, has_audio, has_video, bitrate_bps, quantization
    )


def resolution_of(composition: Composition) -> str:
    return f"{composition.width}x{composition.height}"
