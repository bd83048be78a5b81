"""Renders (Experience Composer): a web page as a stream of a session."""

import msgspec

from signaling import audit
from signaling.domain.rendering import (
    DEFAULT_MAX_DURATION_S,
    DEFAULT_RESOLUTION,
    RenderRecord,
)
from signaling.http.answers import Answer, json_answer
from signaling.renders.service import WantedRender
from signaling.rest import replies, requests
from signaling.rest.call import Call


async def start(call: Call) -> Answer:
    """The route's gate has checked the session."""
    body = call.read(requests.StartRender)
    renders = call.services.renders
    renders.check_available()
    properties = body.properties or requests.RenderProperties()
    wanted = WantedRender(
        url=body.url,
        token=body.token,
        name=properties.name or "",
        resolution=body.resolution or DEFAULT_RESOLUTION,
        max_duration_s=body.max_duration or DEFAULT_MAX_DURATION_S,
        callback_url=body.status_callback_url or "",
    )
    admission = await call.services.authenticator.authenticate(
        call.project.api_key, body.session_id, body.token
    )
    record = await renders.start(admission, wanted)
    audit.render_changed("started", record, call.dialect)
    return json_answer(202, _render(call, record))


async def show(call: Call) -> Answer:
    record = await call.services.renders.show(call.project, call.path["id"])
    return json_answer(200, _render(call, record))


async def page(call: Call) -> Answer:
    wanted = requests.read_query(call.query, requests.Page)
    # The SDKs spell it in two ways.
    session = wanted.session_id or call.query.get("session_id")
    limit = requests.DEFAULT_PAGE if wanted.count is None else wanted.count
    total, found = await call.services.renders.page(
        call.project, session, wanted.offset or 0, limit
    )
    items = tuple(_render(call, record) for record in found)
    return json_answer(200, replies.Renders(count=total, items=items))


async def stop(call: Call) -> Answer:
    record = await call.services.renders.stop(call.project, call.path["id"])
    audit.render_changed("stopped", record, call.dialect)
    return json_answer(200, _render(call, record))


def _render(call: Call, record: RenderRecord) -> replies.Render:
    return replies.Render(
        id=record.id,
        session_id=record.session_id,
        created_at=record.created_ms,
        updated_at=record.updated_ms,
        url=record.url,
        resolution=record.resolution,
        status=record.status,
        stream_id=record.stream_id or msgspec.UNSET,
        name=record.name or msgspec.UNSET,
        callback_url=record.callback_url or msgspec.UNSET,
        reason=record.reason or msgspec.UNSET,
        **call.project_fields(),
    )
