"""Routes for live sessions: signals, streams, connections, moderation.

They also work in end-to-end encrypted sessions, because none of them needs media.
"""

from collections.abc import Iterable

from msgspec import UNSET

from signaling.domain.errors import BadRequest, ErrorCode, NotFound
from signaling.domain.signals import check_signal
from signaling.http.answers import JSON, Answer, empty_answer, json_answer
from signaling.rest import replies, requests
from signaling.rest.call import Call
from signaling.rest.live_sessions import LiveStream

# This SDK parses the answer of GET stream twice if it is labeled as JSON.
_PARSES_TWICE = "OpenTok-Node-SDK/"
_TEXT = "text/plain; charset=utf-8"


async def signal(call: Call) -> Answer:
    """Sends a signal of the application, which has no sender."""
    body = call.read(requests.Signal)
    type_, data = body.type, body.data
    if data is None:
        raise BadRequest(ErrorCode.SIGNAL_DATA_MISSING)
    check_signal(type_, data)
    record = await call.session()
    await call.services.live.signal(record, call.path.get("connection"), type_, data)
    return empty_answer(204)


async def list_sessions(call: Call) -> Answer:
    """The project's sessions with clients, of all nodes, oldest first."""
    wanted = requests.read_query(call.query, requests.Page)
    found = [
        one
        for one in await call.services.live.sessions(call.project.api_key)
        if wanted.session_id in (None, one.record.session_id)
    ]
    begin = wanted.offset or 0
    end = begin + (requests.DEFAULT_PAGE if wanted.count is None else wanted.count)
    items = [
        replies.LiveSession(
            session_id=one.record.session_id,
            media_mode=one.record.options.media_mode.value,
            e2ee=one.record.options.e2ee,
            created_at=one.record.created_ms,
            connection_count=one.connections,
            stream_count=one.streams,
        )
        for one in found
    ]
    if call.elsewhere is None:
        return json_answer(200, replies.LiveSessions(len(items), tuple(items[begin:end])))
    others = await call.elsewhere(end)
    here = {one.session_id for one in items}
    merged = items + [one for one in others.items if one.session_id not in here]
    merged.sort(key=lambda one: (one.created_at, one.session_id))
    silent = others.silent or UNSET
    page = tuple(merged[begin:end])
    return json_answer(200, replies.LiveSessions(len(items) + others.count, page, silent))


def _stream(stream: LiveStream) -> replies.Stream:
    # Audio-only streams are "camera", because the SDKs know no other value.
    return replies.Stream(
        id=stream.stream_id,
        video_type=stream.video_type or "camera",
        name=stream.name,
        layout_class_list=stream.layout_classes,
    )


def _streams(streams: Iterable[LiveStream]) -> Answer:
    items = tuple(_stream(stream) for stream in streams)
    return json_answer(200, replies.Streams(count=len(items), items=items))


async def list_streams(call: Call) -> Answer:
    record = await call.session()
    return _streams(await call.services.live.streams(record))


async def get_stream(call: Call) -> Answer:
    record = await call.session()
    for stream in await call.services.live.streams(record):
        if stream.stream_id == call.path["stream"]:
            twice = call.user_agent.startswith(_PARSES_TWICE)
            return json_answer(200, _stream(stream), _TEXT if twice else JSON)
    raise NotFound(ErrorCode.STREAM_NOT_FOUND)


async def set_layout_classes(call: Call) -> Answer:
    """Layout classes affect composed archives; in an encrypted session they have no effect."""
    classes = {
        item.id: tuple(item.layout_class_list or ())
        for item in call.read(requests.StreamLayouts).items
    }
    record = await call.session()
    live = call.services.live
    await live.set_layout_classes(record, classes)
    return _streams(one for one in await live.streams(record) if one.stream_id in classes)


async def list_connections(call: Call) -> Answer:
    record = await call.session()
    items = tuple(
        replies.Connection(connection_id=one.connection_id, created_at=one.created_ms)
        for one in await call.services.live.connections(record)
    )
    answer = replies.Connections(
        count=len(items), session_id=record.session_id, items=items, **call.project_fields()
    )
    return json_answer(200, answer)


async def force_disconnect(call: Call) -> Answer:
    record = await call.session()
    await call.services.live.force_disconnect(record, call.path["connection"])
    return empty_answer(204)


async def mute_stream(call: Call) -> Answer:
    record = await call.session()
    await call.services.live.force_mute_stream(record, call.path["stream"])
    return _project_details(call)


async def mute_all(call: Call) -> Answer:
    """Mutes all streams except the excluded ones, and later streams until `active` is false."""
    body = call.read(requests.MuteAll)
    active = body.active is not False
    excluded = (*(body.excluded_streams or ()), *(body.excluded_stream_ids or ()))
    record = await call.session()
    await call.services.live.force_mute_all(record, active=active, excluded=excluded)
    return _project_details(call)


def _project_details(call: Call) -> Answer:
    project = call.project
    details = replies.ProjectDetails(
        application_id=project.application_id,
        project_id=project.api_key,
        name=project.name,
        created_at=project.created_ms,
    )
    return json_answer(200, details)
