"""Captions: what is stored of each, what ends them, and which streams they hear; pure.

`step` is the only place where a status changes. What its table does not have does not happen: such
an event came too late.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from sfu.ids import StreamId
from signaling.domain.archived_streams import ArchivedStream
from signaling.domain.errors import BadRequest, ErrorCode
from signaling.domain.session_state import SessionState

DEFAULT_LANGUAGE = "en-US"
DEFAULT_MAX_DURATION_S = 14_400
MAX_CAPTIONED = 50
"""Streams that are heard, the oldest first."""
PROVIDER = "sealroute"
"""Who recognizes, as the answer names it: this server itself."""


class CaptionsStatus(StrEnum):
    STARTED = "started"
    STOPPED = "stopped"
    FAILED = "failed"


class CaptionsEvent(StrEnum):
    """`server_lost`: the server was killed; `child_lost`: the process died again and again."""

    STOP = "stop"
    SESSION_EMPTY = "session_empty"
    SHUTDOWN = "shutdown"
    MAXIMUM = "maximum"
    CHILD_LOST = "child_lost"
    SERVER_LOST = "server_lost"


class CaptionsReason(StrEnum):
    """Why captions ended, in the words of archives."""

    USER = "user initiated"
    SESSION = "session ended"
    MAXIMUM = "maximum duration exceeded"
    INTERNAL = "Internal server failure"


@dataclass(frozen=True, slots=True)
class CaptionsRecord:
    """The captions of a session, as they are stored: when they ran, and never what was said."""

    id: str
    project_id: str
    session_id: str
    language: str
    partials: bool
    max_duration_s: int
    created_ms: int
    updated_ms: int
    status: CaptionsStatus = CaptionsStatus.STARTED
    reason: str = ""

    @property
    def is_running(self) -> bool:
        return self.status is CaptionsStatus.STARTED

    def duration_s(self, now_ms: int) -> int:
        """How long they have run, whole seconds."""
        until_ms = now_ms if self.is_running else self.updated_ms
        return max(0, until_ms - self.created_ms) // 1000


_S, _E, _R = CaptionsStatus, CaptionsEvent, CaptionsReason
ENDS: Mapping[CaptionsEvent, tuple[CaptionsStatus, CaptionsReason]] = MappingProxyType(
    {
        _E.STOP: (_S.STOPPED, _R.USER),
        _E.SESSION_EMPTY: (_S.STOPPED, _R.SESSION),
        _E.SHUTDOWN: (_S.STOPPED, _R.SESSION),
        _E.MAXIMUM: (_S.STOPPED, _R.MAXIMUM),
        _E.CHILD_LOST: (_S.FAILED, _R.INTERNAL),
        _E.SERVER_LOST: (_S.STOPPED, _R.INTERNAL),
    }
)
"""What becomes of captions that run, and why. The ended ones stay as they are."""


def step(record: CaptionsRecord, event: CaptionsEvent, now_ms: int) -> CaptionsRecord:
    """The record after an event; the same one: the event came too late."""
    if not record.is_running:
        return record
    status, reason = ENDS[event]
    updated_ms = max(now_ms, record.updated_ms)
    return replace(record, status=status, reason=reason.value, updated_ms=updated_ms)


def language_of(wanted: str | None, known: Sequence[str]) -> str:
    """The language as the recognizer calls it. Errors: `invalid_parameter`."""
    asked = (wanted or DEFAULT_LANGUAGE).lower()
    for language in known:
        if language.lower() == asked:
            return language
    raise BadRequest(
        ErrorCode.INVALID_PARAMETER,
        f"'languageCode' must be one that this server recognizes: {', '.join(known)}.",
    )


def captioned_streams(state: SessionState) -> dict[StreamId, ArchivedStream]:
    """By id, the oldest first: those with audio whose publishers let it be captioned."""
    found: dict[StreamId, ArchivedStream] = {}
    for name, stream in state.streams.items():
        if stream.live and stream.info.has_captions:
            sent = {"audio": stream.info.has_audio}
            found[name] = ArchivedStream({"audio": True}, sent, (), {})
        if len(found) == MAX_CAPTIONED:
            break
    return found


def captions_details(record: CaptionsRecord, now_ms: int) -> dict[str, object]:
    """The members of a callback about captions, beside those of every callback."""
    details: dict[str, object] = {
        "captionId": record.id,
        "status": record.status.value,
        "createdAt": record.created_ms,
        "updatedAt": record.updated_ms,
        "duration": record.duration_s(now_ms),
        "languageCode": record.language,
        "provider": PROVIDER,
    }
    return {**details, "reason": record.reason} if record.reason else details
