"""Broadcasts: what is stored of each, and what each event makes of its status and its outputs.

`step` and `with_output` are the only places where a status changes; their tables are the whole
rule. What does not stand there does not happen: such an event came too late.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import SplitResult, urlsplit

from signaling.domain.archiving import StreamMode
from signaling.domain.errors import BadRequest, Conflict, ErrorCode

DEFAULT_MAX_DURATION_S = 14_400
DEFAULT_RESOLUTION = "640x480"
MAX_RTMP = 5
MAX_URL_CHARS = 2_048
MAX_KEY_CHARS = 1_024
HLS = "hls"
"""The name of the HLS output among the outputs."""


class BroadcastStatus(StrEnum):
    STARTED = "started"
    STOPPED = "stopped"
    FAILED = "failed"


class BroadcastEvent(StrEnum):
    """`server_lost`: the server was killed; `child_lost`: the process died again and again."""

    STOP = "stop"
    SESSION_EMPTY = "session_empty"
    SHUTDOWN = "shutdown"
    MAXIMUM = "maximum"
    CHILD_LOST = "child_lost"
    SERVER_LOST = "server_lost"
    DISK_FULL = "disk_full"


class OutputStatus(StrEnum):
    """Of HLS: connecting, ready, live, ended, error; of RTMP: connecting, live, offline, error."""

    CONNECTING = "connecting"
    READY = "ready"
    LIVE = "live"
    ENDED = "ended"
    OFFLINE = "offline"
    ERROR = "error"


class BroadcastReason(StrEnum):
    """Why a broadcast ended, in the words of archives."""

    USER = "user initiated"
    SESSION = "session ended"
    MAXIMUM = "maximum duration exceeded"
    INTERNAL = "Internal server failure"
    STORAGE = "Not enough storage"


@dataclass(frozen=True, slots=True)
class HlsOutput:
    """`key`: what a viewer must know, 128 random bits in hexadecimal."""

    key: str = field(repr=False)
    low_latency: bool = False
    dvr: bool = False
    status: OutputStatus = OutputStatus.CONNECTING


@dataclass(frozen=True, slots=True)
class RtmpOutput:
    """`stream_name`: a secret of the application, of those that may publish there."""

    id: str
    server_url: str
    stream_name: str = field(repr=False)
    status: OutputStatus = OutputStatus.CONNECTING


@dataclass(frozen=True, slots=True)
class BroadcastRecord:
    """One broadcast, as it is stored. `tag`: broadcasts of one session at the same time differ in
    it. `layout` is as the application wrote it."""

    id: str
    project_id: str
    session_id: str
    stream_mode: StreamMode
    has_audio: bool
    has_video: bool
    tag: str
    resolution: str
    max_duration_s: int
    created_ms: int
    updated_ms: int
    max_bitrate: int | None = None
    layout: Mapping[str, object] = field(default_factory=lambda: {"type": "bestFit"})
    hls: HlsOutput | None = None
    rtmp: tuple[RtmpOutput, ...] = ()
    status: BroadcastStatus = BroadcastStatus.STARTED
    reason: str = ""

    @property
    def is_running(self) -> bool:
        return self.status is BroadcastStatus.STARTED


_S, _E, _R, _O = BroadcastStatus, BroadcastEvent, BroadcastReason, OutputStatus
_Arrow = tuple[BroadcastStatus, BroadcastReason]
ARROWS: Mapping[BroadcastStatus, Mapping[BroadcastEvent, _Arrow]] = MappingProxyType(
    {
        _S.STARTED: {
            _E.STOP: (_S.STOPPED, _R.USER),
            _E.SESSION_EMPTY: (_S.STOPPED, _R.SESSION),
            _E.SHUTDOWN: (_S.STOPPED, _R.SESSION),
            _E.MAXIMUM: (_S.STOPPED, _R.MAXIMUM),
            _E.CHILD_LOST: (_S.FAILED, _R.INTERNAL),
            _E.SERVER_LOST: (_S.STOPPED, _R.INTERNAL),
            _E.DISK_FULL: (_S.FAILED, _R.STORAGE),
        },
        _S.STOPPED: {},
        _S.FAILED: {},
    }
)
"""Status → event → what becomes of it, and why."""
_HLS_ARROWS: Mapping[OutputStatus, frozenset[OutputStatus]] = MappingProxyType(
    {
        _O.CONNECTING: frozenset({_O.READY, _O.ENDED, _O.ERROR}),
        _O.READY: frozenset({_O.LIVE, _O.ENDED, _O.ERROR}),
        _O.LIVE: frozenset({_O.ENDED, _O.ERROR}),
    }
)
_RTMP_ARROWS: Mapping[OutputStatus, frozenset[OutputStatus]] = MappingProxyType(
    {
        _O.CONNECTING: frozenset({_O.LIVE, _O.OFFLINE, _O.ERROR}),
        _O.LIVE: frozenset({_O.OFFLINE, _O.ERROR}),
        _O.OFFLINE: frozenset({_O.LIVE, _O.ERROR}),
    }
)
"""What an output of each status may become."""


def step(record: BroadcastRecord, event: BroadcastEvent, now_ms: int) -> BroadcastRecord:
    """The record after an event; the same one: the event came too late.

    Errors: `broadcast_not_running` for a stop.
    """
    arrow = ARROWS[record.status].get(event)
    if arrow is None:
        if event is BroadcastEvent.STOP:
            raise Conflict(ErrorCode.BROADCAST_NOT_RUNNING)
        return record
    status, reason = arrow
    ended = replace(
        record, status=status, reason=reason.value, updated_ms=max(now_ms, record.updated_ms)
    )
    return _with_ended_outputs(ended)


def _with_ended_outputs(record: BroadcastRecord) -> BroadcastRecord:
    hls = record.hls
    if hls is not None and _O.ENDED in _HLS_ARROWS.get(hls.status, ()):
        hls = replace(hls, status=_O.ENDED)
    rtmp = tuple(
        replace(one, status=_O.OFFLINE) if _O.OFFLINE in _RTMP_ARROWS.get(one.status, ()) else one
        for one in record.rtmp
    )
    return replace(record, hls=hls, rtmp=rtmp)


def with_output(
    record: BroadcastRecord, output: str, status: OutputStatus, now_ms: int
) -> BroadcastRecord:
    """The record after an output said what it is: `hls`, or the id of an RTMP target. The same
    record: it was that already, or cannot become it."""
    if not record.is_running:
        return record
    if output == HLS and record.hls is not None:
        if status not in _HLS_ARROWS.get(record.hls.status, ()):
            return record
        changed = replace(record, hls=replace(record.hls, status=status))
    else:
        rtmp = tuple(
            replace(one, status=status)
            if one.id == output and status in _RTMP_ARROWS.get(one.status, ())
            else one
            for one in record.rtmp
        )
        if rtmp == record.rtmp:
            return record
        changed = replace(record, rtmp=rtmp)
    return replace(changed, updated_ms=max(now_ms, record.updated_ms))


def checked_rtmp_url(url: str) -> str:
    """`rtmp://host[:port]/app` or `rtmps://…`, without credentials. Errors: `invalid_parameter`."""
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            f"'serverUrl' must be an ASCII URL without spaces of up to {MAX_URL_CHARS} characters.",
        )
    parts = _split(url)
    if parts.scheme not in ("rtmp", "rtmps") or not parts.hostname or not parts.path.strip("/"):
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            "'serverUrl' must begin with rtmp:// or rtmps:// and name a host and an application.",
        )
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            "'serverUrl' must not carry a user name, a password or a fragment.",
        )
    return url


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as cause:
        raise BadRequest(ErrorCode.INVALID_PARAMETER, "'serverUrl' is not a valid URL.") from cause
    return parts


def broadcast_details(record: BroadcastRecord, hls_url: str | None) -> dict[str, object]:
    """The members of a callback about a broadcast, beside those of every callback."""
    return {
        "id": record.id,
        "status": record.status.value,
        "reason": record.reason,
        "partnerId": int(record.project_id),
        "createdAt": record.created_ms,
        "updatedAt": record.updated_ms,
        "resolution": record.resolution,
        "streamMode": record.stream_mode.value,
        "hasAudio": record.has_audio,
        "hasVideo": record.has_video,
        "maxDuration": record.max_duration_s,
        "maxBitrate": record.max_bitrate,
        "multiBroadcastTag": record.tag,
        "settings": settings_of(record),
        "broadcastUrls": urls_of(record, hls_url),
    }


def settings_of(record: BroadcastRecord) -> dict[str, object]:
    if record.hls is None:
        return {}
    return {HLS: {"lowLatency": record.hls.low_latency, "dvr": record.hls.dvr}}


def urls_of(record: BroadcastRecord, hls_url: str | None) -> dict[str, object]:
    """`rtmp` is always a list: official SDKs insist."""
    found: dict[str, object] = {}
    if record.hls is not None:
        found |= {HLS: hls_url, "hlsStatus": record.hls.status.value}
    found["rtmp"] = [
        {
            "id": one.id,
            "serverUrl": one.server_url,
            "streamName": one.stream_name,
            "status": one.status.value,
        }
        for one in record.rtmp
    ]
    return found
