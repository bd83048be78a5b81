"""Callbacks (webhooks): events of a session are posted to the URLs that the application registered.

Payloads have the members of the vendor's documentation, and `applicationId` beside `projectId`,
so that applications of either kind of project find their own id.
"""

import hashlib
import hmac
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import SplitResult, urlsplit

from signaling.domain import jwt_claims
from signaling.domain.archiving import ArchiveRecord, ArchiveStatus, StreamMode, archive_details
from signaling.domain.broadcasting import (
    DEFAULT_MAX_DURATION_S,
    DEFAULT_RESOLUTION,
    BroadcastRecord,
    HlsOutput,
    OutputStatus,
    RtmpOutput,
    broadcast_details,
)
from signaling.domain.captioning import DEFAULT_LANGUAGE, CaptionsRecord, captions_details
from signaling.domain.effects import EventName, Notify
from signaling.domain.errors import BadRequest, ErrorCode
from signaling.domain.projects import Project
from signaling.domain.rendering import (
    DEFAULT_RESOLUTION as DEFAULT_RENDER_RESOLUTION,
)
from signaling.domain.rendering import (
    RenderRecord,
    RenderStatus,
    render_details,
)
from signaling.domain.session_options import SessionRecord
from signaling.domain.sip_calling import CallInfo, call_details
from signaling.protocol.messages import ConnectionInfo, StreamInfo

MAX_URL_CHARS = 2_048
MAX_CALLBACKS = 64
"""Registrations of one project. Each event is stored once per matching registration."""
EVERY = "all"
ONE = "one"
"""The group of a callback that its application named for one thing alone as it started that:
`event` is the group of the thing, and the callback has its id."""
_EVENTS = ("created", "destroyed")
_SIP_EVENTS = ("created", "updated", "destroyed", "digit", "muteForced")
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "session": _EVENTS,
        "connection": _EVENTS,
        "stream": _EVENTS,
        "archive": ("status",),
        "broadcast": ("status",),
        "render": ("status",),
        "captions": ("status",),
        "sip": _SIP_EVENTS,
    }
)
"""Events that can be registered."""
_WANTED_BY: Mapping[EventName, tuple[str, str]] = MappingProxyType(
    {
        "sessionCreated": ("session", "created"),
        "sessionDestroyed": ("session", "destroyed"),
        "connectionCreated": ("connection", "created"),
        "connectionDestroyed": ("connection", "destroyed"),
        "streamCreated": ("stream", "created"),
        "streamDestroyed": ("stream", "destroyed"),
        "archive": ("archive", "status"),
        "broadcast": ("broadcast", "status"),
        "render": ("render", "status"),
        "captions": ("captions", "status"),
        "callCreated": ("sip", "created"),
        "callUpdated": ("sip", "updated"),
        "callDestroyed": ("sip", "destroyed"),
        "callDigit": ("sip", "digit"),
        "muteForced": ("sip", "muteForced"),
    }
)
EVENT_NAMES: tuple[EventName, ...] = tuple(_WANTED_BY)

BACKOFF_FIRST_MS = 1_000
BACKOFF_MAX_MS = 300_000
"""Short enough that an application gets its events soon after it recovers, long enough not to load
it until then."""
_JITTER = 0.2
_SAMPLE_PLAYLIST = "https://example.com/hls/index.m3u8"
_SIGNATURE_CONTEXT = b"sealroute callback signature v1"


@dataclass(frozen=True, slots=True)
class Callback:
    """One registration. `group` and `event` are `all` for a URL of the whole project; `ONE`: of one
    thing, and no registration to the application."""

    id: str
    project_id: str
    group: str
    event: str
    url: str = field(repr=False)
    created_ms: int

    @property
    def is_of_one(self) -> bool:
        return self.group == ONE

    def wants(self, event: EventName, subject: object = None) -> bool:
        """`subject`: the id of what the event is about."""
        group, name = _WANTED_BY[event]
        if self.is_of_one:
            return self.event == group and self.id == subject
        return self.group in (EVERY, group) and self.event in (EVERY, name)


@dataclass(frozen=True, slots=True)
class CallbackEvent:
    """An event, stored until it is delivered. `details` are JSON values."""

    id: str
    project_id: str
    session_id: str
    event: EventName
    at_ms: int
    details: Mapping[str, object]


def callback_event(record: SessionRecord, notice: Notify, at_ms: int) -> CallbackEvent:
    """The event of a `Notify` effect. `at_ms`: Unix milliseconds."""
    details: dict[str, object] = {}
    if notice.event.startswith("session"):
        details["e2ee"] = record.options.e2ee
    if notice.reason is not None:
        details["reason"] = notice.reason
    if notice.stream is not None and notice.connection is not None:
        details["stream"] = _stream(notice.stream, notice.connection)
    elif notice.archive is not None:
        details = dict(notice.archive)
    elif notice.broadcast is not None:
        details = dict(notice.broadcast)
    elif notice.render is not None:
        details = dict(notice.render)
    elif notice.captions is not None:
        details = dict(notice.captions)
    elif notice.call is not None:
        details = dict(notice.call)
    elif notice.connection is not None:
        details["connection"] = _connection(notice.connection)
    return CallbackEvent(
        id=str(uuid.uuid4()),
        project_id=record.project_id,
        session_id=record.session_id,
        event=notice.event,
        at_ms=at_ms,
        details=details,
    )


def _connection(info: ConnectionInfo) -> dict[str, object]:
    return {"id": info.connection_id, "createdAt": info.creation_time, "data": info.data}


def _stream(info: StreamInfo, connection: ConnectionInfo) -> dict[str, object]:
    body: dict[str, object] = {
        "id": info.stream_id,
        "connection": _connection(connection),
        "createdAt": info.creation_time,
        "name": info.name,
    }
    # The documentation omits the member for a stream without video.
    return body if info.video_type is None else {**body, "videoType": info.video_type}


def payload(happened: CallbackEvent, project: Project) -> dict[str, object]:
    """The request's body. `timestamp` is the time of the event in Unix milliseconds."""
    return {
        "sessionId": happened.session_id,
        "projectId": project.api_key,
        "applicationId": project.application_id,
        "event": happened.event,
        "timestamp": happened.at_ms,
        **happened.details,
    }


def sample(project: Project, event: EventName, now_ms: int) -> dict[str, object]:
    """A payload for testing a receiver; its member `test` distinguishes it from a real one."""
    connection = ConnectionInfo(
        connection_id="00000000-0000-4000-8000-000000000001",
        creation_time=now_ms,
        data="test",
    )
    stream = StreamInfo(
        stream_id="00000000-0000-4000-8000-000000000002",
        connection_id=connection.connection_id,
        creation_time=now_ms,
        name="test",
        has_video=True,
        video_type="camera",
    )
    details: dict[str, object] = {"test": True}
    if event == "archive":
        archive = _sample_archive(project, now_ms)
        details |= archive_details(archive, "https://example.com/archive.zip")
    if event == "broadcast":
        details |= broadcast_details(_sample_broadcast(project, now_ms), _SAMPLE_PLAYLIST)
    if event == "render":
        details |= render_details(_sample_render(project, now_ms))
    if event == "captions":
        details |= captions_details(_sample_captions(project, now_ms), now_ms)
    if event in _SAMPLE_CALLS:
        details |= _sample_call(event, now_ms)
    elif event.endswith("Destroyed") and not event.startswith("session"):
        details["reason"] = "clientDisconnected"
    if event.startswith("connection"):
        details["connection"] = _connection(connection)
    elif event.startswith("stream"):
        details["stream"] = _stream(stream, connection)
    happened = CallbackEvent("test", project.api_key, "test", event, now_ms, details)
    return payload(happened, project)


_SAMPLE_CALLS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "callCreated": {},
        "callUpdated": {"state": "ACTIVE"},
        "callDestroyed": {"reason_code": 700, "reason_message": "normal"},
        "callDigit": {"digit": "5"},
        "muteForced": {},
    }
)


def _sample_call(event: str, now_ms: int) -> dict[str, object]:
    call = CallInfo(
        id="00000000-0000-4000-8000-000000000005",
        connection_id="00000000-0000-4000-8000-000000000001",
        created_ms=now_ms,
    )
    return call_details(call, **_SAMPLE_CALLS[event])


def _sample_archive(project: Project, now_ms: int) -> ArchiveRecord:
    return ArchiveRecord(
        id="00000000-0000-4000-8000-000000000003",
        project_id=project.api_key,
        session_id="test",
        name="test",
        stream_mode=StreamMode.AUTO,
        has_audio=True,
        has_video=True,
        tag="",
        created_ms=now_ms,
        updated_ms=now_ms,
        status=ArchiveStatus.AVAILABLE,
        reason="user initiated",
        recorded_ms=64_000,
        size_bytes=18_500_123,
    )


def _sample_broadcast(project: Project, now_ms: int) -> BroadcastRecord:
    return BroadcastRecord(
        id="00000000-0000-4000-8000-000000000004",
        project_id=project.api_key,
        session_id="test",
        stream_mode=StreamMode.AUTO,
        has_audio=True,
        has_video=True,
        tag="",
        resolution=DEFAULT_RESOLUTION,
        max_duration_s=DEFAULT_MAX_DURATION_S,
        created_ms=now_ms,
        updated_ms=now_ms,
        hls=HlsOutput(key="0" * 32, status=OutputStatus.LIVE),
        rtmp=(RtmpOutput("test", "rtmps://example.com/live", "test", OutputStatus.LIVE),),
    )


def _sample_render(project: Project, now_ms: int) -> RenderRecord:
    return RenderRecord(
        id="00000000-0000-4000-8000-000000000006",
        project_id=project.api_key,
        session_id="test",
        url="https://example.com/page",
        name="test",
        resolution=DEFAULT_RENDER_RESOLUTION,
        max_duration_s=DEFAULT_MAX_DURATION_S,
        created_ms=now_ms,
        updated_ms=now_ms,
        stream_id="00000000-0000-4000-8000-000000000002",
        status=RenderStatus.STARTED,
    )


def _sample_captions(project: Project, now_ms: int) -> CaptionsRecord:
    return CaptionsRecord(
        id="00000000-0000-4000-8000-000000000006",
        project_id=project.api_key,
        session_id="test",
        language=DEFAULT_LANGUAGE,
        partials=False,
        max_duration_s=DEFAULT_MAX_DURATION_S,
        created_ms=now_ms,
        updated_ms=now_ms,
    )


def checked_registration(group: str, event: str) -> tuple[str, str]:
    """Errors: `invalid_parameter`."""
    if event == EVERY and (group == EVERY or group in GROUPS):
        return group, event
    if group not in GROUPS:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, f"'group' must be one of {', '.join(GROUPS)}."
        )
    if event not in GROUPS[group]:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            f"'event' of this group must be {' or '.join(GROUPS[group])}.",
        )
    return group, event


def checked_url(url: str) -> str:
    """An absolute http or https URL without credentials. Errors: `invalid_parameter`."""
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            f"'url' must be an ASCII URL without spaces of up to {MAX_URL_CHARS} characters.",
        )
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequest(ErrorCode.INVALID_PARAMETER, "'url' must begin with http:// or https://.")
    if parts.username is not None or parts.password is not None:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, "'url' must not carry a user name or a password."
        )
    return url


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as cause:
        raise BadRequest(ErrorCode.INVALID_PARAMETER, "'url' is not a valid URL.") from cause
    return parts


def origin_of(url: str) -> str:
    """Scheme, host and port: URLs with the same origin fail and recover together."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def wanting(callbacks: Iterable[Callback], happened: CallbackEvent) -> tuple[Callback, ...]:
    subject = happened.details.get("id")
    return tuple(callback for callback in callbacks if callback.wants(happened.event, subject))


def backoff_ms(attempts: int, chance: float) -> int:
    """The delay after the given number of failed attempts (from 1); `chance` in [0, 1) varies it
    by ± 20 %."""
    doubled = BACKOFF_FIRST_MS * 2 ** min(attempts - 1, 16)
    spread = 1 - _JITTER + 2 * _JITTER * chance
    return int(min(doubled, BACKOFF_MAX_MS) * spread)


def signature_secret(project: Project) -> str:
    """The key of a project's callback signatures. It is derived from the API secret without
    revealing it, and changes when the API secret is rotated."""
    return hmac.new(project.api_secret.encode(), _SIGNATURE_CONTEXT, hashlib.sha256).hexdigest()


def authorization(project: Project, body: bytes, now_s: int, token_id: str) -> str:
    """The `Authorization` header of one attempt: an HS256 token over the hash of the body."""
    claims = {
        "iss": "Sealroute",
        "iat": now_s,
        "jti": token_id,
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": project.api_key,
        "application_id": project.application_id,
    }
    return "Bearer " + jwt_claims.signed(claims, signature_secret(project))
