"""Renders (Experience Composer): what is stored of each, and what each event makes of its status.

`step` is the only place where a status changes; its table is the whole rule. What does not stand
there does not happen: such an event came too late.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import urlsplit

from signaling.domain.errors import BadRequest, ErrorCode

DEFAULT_MAX_DURATION_S = 7_200
DEFAULT_RESOLUTION = "1280x720"
MAX_REASON_CHARS = 256


class RenderStatus(StrEnum):
    STARTING = "starting"
    STARTED = "started"
    STOPPED = "stopped"
    FAILED = "failed"


class RenderEvent(StrEnum):
    """`ended`: the session ended the stream or the client; `page`: it cannot be shown;
    `refused`: the session does not take it; `no_browser`: none began; `crashed`: they did again
    and again; `lost`: the server or its process is gone."""

    PUBLISHED = "published"
    STOP = "stop"
    MAXIMUM = "maximum"
    ENDED = "ended"
    SHUTDOWN = "shutdown"
    PAGE = "page"
    REFUSED = "refused"
    NO_BROWSER = "no_browser"
    CRASHED = "crashed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class RenderRecord:
    """One render, as it is stored. `url` may hold secrets of the application, and so may
    `callback_url`."""

    id: str
    project_id: str
    session_id: str
    url: str = field(repr=False)
    name: str
    resolution: str
    max_duration_s: int
    created_ms: int
    updated_ms: int
    callback_url: str = field(default="", repr=False)
    stream_id: str = ""
    status: RenderStatus = RenderStatus.STARTING
    reason: str = ""

    @property
    def is_running(self) -> bool:
        return self.status in (RenderStatus.STARTING, RenderStatus.STARTED)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        width, _, height = self.resolution.partition("x")
        return int(width), int(height)


_S, _E = RenderStatus, RenderEvent
_INTERNAL = "Internal server failure"
_ENDS: Mapping[RenderEvent, tuple[RenderStatus, str]] = MappingProxyType(
    {
        _E.STOP: (_S.STOPPED, "Stop requested"),
        _E.MAXIMUM: (_S.STOPPED, "Max duration exceeded"),
        _E.ENDED: (_S.STOPPED, "Client disconnected"),
        _E.SHUTDOWN: (_S.STOPPED, "Server shutdown"),
        _E.PAGE: (_S.FAILED, "The page cannot be loaded."),
        _E.REFUSED: (_S.FAILED, "The session does not take the page."),
        _E.NO_BROWSER: (_S.FAILED, "The browser did not start."),
        _E.CRASHED: (_S.FAILED, "The browser crashed twice."),
        _E.LOST: (_S.FAILED, _INTERNAL),
    }
)
ARROWS: Mapping[RenderStatus, Mapping[RenderEvent, tuple[RenderStatus, str]]] = MappingProxyType(
    {
        _S.STARTING: {_E.PUBLISHED: (_S.STARTED, ""), **_ENDS},
        _S.STARTED: {_E.PUBLISHED: (_S.STARTED, ""), **_ENDS},
        _S.STOPPED: {},
        _S.FAILED: {},
    }
)
"""Status → event → what becomes of it, and why. A page is published again after a crash, as another
stream."""


def step(
    record: RenderRecord, event: RenderEvent, now_ms: int, *, text: str = "", stream: str = ""
) -> RenderRecord:
    """The record after an event; the same one: the event came too late. `text`: the reason, if it
    is more than the event; `stream`: what is published."""
    arrow = ARROWS[record.status].get(event)
    if arrow is None:
        return record
    status, reason = arrow
    return replace(
        record,
        status=status,
        reason=(text or reason)[:MAX_REASON_CHARS],
        stream_id=stream or record.stream_id,
        updated_ms=max(now_ms, record.updated_ms),
    )


def page_address(url: str) -> tuple[str, int]:
    """Host and port of a page. Errors: `invalid_parameter`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as cause:
        raise BadRequest(ErrorCode.INVALID_PARAMETER, "'url' is not a valid URL.") from cause
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequest(ErrorCode.INVALID_PARAMETER, "'url' must begin with http:// or https://.")
    if not url.isprintable() or " " in url:
        raise BadRequest(ErrorCode.INVALID_PARAMETER, "'url' must be a URL without spaces.")
    return parts.hostname, port or (443 if parts.scheme == "https" else 80)


def render_details(record: RenderRecord) -> dict[str, object]:
    """The members of a callback about a render, beside those of every callback."""
    found: dict[str, object] = {
        "id": record.id,
        "status": record.status.value,
        "reason": record.reason,
        "createdAt": record.created_ms,
        "updatedAt": record.updated_ms,
        "url": record.url,
        "resolution": record.resolution,
    }
    if record.name:
        found["name"] = record.name
    return {**found, "streamId": record.stream_id} if record.stream_id else found
