"""Routes about what is going on in a session: signals, streams, connections, moderation.

They work on sealed sessions too: none of them needs media.
"""

from signaling.domain.errors import BadRequest, ErrorCode, NotFound
from signaling.rest.answers import JSON, Answer, empty_answer, json_answer
from signaling.rest.bodies import flag_field, required_text, text_field, text_list
from signaling.rest.call import Call
from signaling.rest.live_sessions import LiveStream

MAX_TYPE_BYTES = 128
MAX_DATA_BYTES = 8_192
MAX_LAYOUT_ITEMS = 3_000
MAX_LAYOUT_CLASSES = 64
MAX_EXCLUDED = 3_000
# This SDK parses the answer of GET stream once more when it is labelled JSON.
_PARSES_TWICE = "OpenTok-Node-SDK/"
_TEXT = "text/plain; charset=utf-8"


async def signal(call: Call) -> Answer:
    """A signal of the application; clients see it without a sender."""
    type_, data = text_field(call.fields, "type"), text_field(call.fields, "data")
    if data is None:
        raise BadRequest(ErrorCode.SIGNAL_DATA_MISSING)
    if len(_utf8(type_ or "", "type")) > MAX_TYPE_BYTES or len(_utf8(data, "data")) > (
        MAX_DATA_BYTES
    ):
        raise BadRequest(ErrorCode.SIGNAL_TOO_LONG)
    record = await call.session()
    await call.services.live.signal(record, call.path.get("connection"), type_, data)
    return empty_answer(204)


def _utf8(text: str, name: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as cause:
        # JSON can spell half a surrogate pair, UTF-8 can not.
        raise BadRequest(ErrorCode.INVALID_PARAMETER, f"'{name}' is not valid Unicode.") from cause


def _stream(stream: LiveStream) -> dict[str, object]:
    # Audio-only streams are "camera" to the SDKs, which know no other word.
    return {
        "id": stream.stream_id,
        "videoType": stream.video_type or "camera",
        "name": stream.name,
        "layoutClassList": list(stream.layout_classes),
    }


async def list_streams(call: Call) -> Answer:
    record = await call.session()
    items = [_stream(stream) for stream in await call.services.live.streams(record)]
    return json_answer(200, {"count": len(items), "items": items})


async def get_stream(call: Call) -> Answer:
    record = await call.session()
    for stream in await call.services.live.streams(record):
        if stream.stream_id == call.path["stream"]:
            twice = call.user_agent.startswith(_PARSES_TWICE)
            return json_answer(200, _stream(stream), _TEXT if twice else JSON)
    raise NotFound(ErrorCode.STREAM_NOT_FOUND)


async def set_layout_classes(call: Call) -> Answer:
    """Layout classes shape composed archives; on a sealed session they are kept and harmless."""
    items = call.fields.get("items")
    if not isinstance(items, list) or len(items) > MAX_LAYOUT_ITEMS:
        raise BadRequest(ErrorCode.INVALID_PARAMETER, "'items' must be a list of streams.")
    classes: dict[str, tuple[str, ...]] = {}
    for item in items:
        if not isinstance(item, dict):
            raise BadRequest(ErrorCode.INVALID_PARAMETER, "'items' must hold objects.")
        classes[required_text(item, "id")] = text_list(
            item.get("layoutClassList"), "layoutClassList", MAX_LAYOUT_CLASSES
        )
    record = await call.session()
    await call.services.live.set_layout_classes(record, classes)
    changed = [
        _stream(stream)
        for stream in await call.services.live.streams(record)
        if stream.stream_id in classes
    ]
    return json_answer(200, {"count": len(changed), "items": changed})


async def list_connections(call: Call) -> Answer:
    record = await call.session()
    items = [
        {
            "connectionId": connection.connection_id,
            "connectionState": "Connected",
            "createdAt": connection.created_ms,
        }
        for connection in await call.services.live.connections(record)
    ]
    return json_answer(
        200,
        {
            "count": len(items),
            **call.project_fields(),
            "sessionId": record.session_id,
            "items": items,
        },
    )


async def force_disconnect(call: Call) -> Answer:
    record = await call.session()
    await call.services.live.force_disconnect(record, call.path["connection"])
    return empty_answer(204)


async def mute_stream(call: Call) -> Answer:
    record = await call.session()
    await call.services.live.force_mute_stream(record, call.path["stream"])
    return _project_details(call)


async def mute_all(call: Call) -> Answer:
    """Mutes all but the excluded, and later streams too until `active` is false."""
    active = flag_field(call.fields, "active", default=True)
    # Legacy and unified SDKs name the same list differently.
    excluded: tuple[str, ...] = ()
    for name in ("excludedStreams", "excludedStreamIds"):
        excluded += text_list(call.fields.get(name), name, MAX_EXCLUDED)
    record = await call.session()
    await call.services.live.force_mute_all(record, active=active, excluded=excluded)
    return _project_details(call)


def _project_details(call: Call) -> Answer:
    project = call.project
    return json_answer(
        200,
        {
            "applicationId": project.application_id,
            "projectId": project.api_key,
            "status": "ACTIVE",
            "name": project.name,
            "environment": "standard",
            "createdAt": project.created_ms,
        },
    )
