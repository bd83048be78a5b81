"""Broadcasts: HLS, and RTMP servers, of sessions that are not end-to-end encrypted."""

import msgspec

from signaling import audit
from signaling.broadcasts.service import WantedBroadcast, WantedHls, WantedRtmp
from signaling.domain.archived_streams import Selection
from signaling.domain.archiving import StreamMode
from signaling.domain.broadcasting import (
    DEFAULT_MAX_DURATION_S,
    DEFAULT_RESOLUTION,
    BroadcastRecord,
    settings_of,
    urls_of,
)
from signaling.http.answers import Answer, empty_answer, json_answer
from signaling.rest import replies, requests
from signaling.rest.call import Call


async def start(call: Call) -> Answer:
    """The route's gate has checked the session."""
    body = call.read(requests.StartBroadcast)
    broadcasts = call.services.broadcasts
    broadcasts.check_available()
    hls = body.outputs.hls
    wanted = WantedBroadcast(
        stream_mode=StreamMode(body.stream_mode or "auto"),
        has_audio=body.has_audio is not False,
        has_video=body.has_video is not False,
        tag=body.multi_broadcast_tag or "",
        resolution=body.resolution or DEFAULT_RESOLUTION,
        max_duration_s=body.max_duration or DEFAULT_MAX_DURATION_S,
        max_bitrate=body.max_bitrate,
        layout=_layout(body.layout),
        hls=None if hls is None else WantedHls(bool(hls.low_latency), bool(hls.dvr)),
        rtmp=tuple(
            WantedRtmp(one.id, one.server_url, one.stream_name) for one in body.outputs.rtmp or ()
        ),
    )
    session = await call.session(body.session_id)
    record = await broadcasts.start(call.project, session, wanted)
    audit.broadcast_changed("started", record, call.dialect)
    return _answer(call, record)


async def show(call: Call) -> Answer:
    return _answer(call, await call.services.broadcasts.show(call.project, call.path["id"]))


async def page(call: Call) -> Answer:
    wanted = requests.read_query(call.query, requests.Page)
    # The SDKs spell it in two ways.
    session = wanted.session_id or call.query.get("session_id")
    limit = requests.DEFAULT_PAGE if wanted.count is None else wanted.count
    total, found = await call.services.broadcasts.page(
        call.project, session, wanted.offset or 0, limit
    )
    items = tuple(_broadcast(call, record) for record in found)
    return json_answer(200, replies.Broadcasts(count=total, items=items))


async def stop(call: Call) -> Answer:
    record = await call.services.broadcasts.stop(call.project, call.path["id"])
    audit.broadcast_changed("stopped", record, call.dialect)
    return _answer(call, record)


async def change_streams(call: Call) -> Answer:
    body = call.read(requests.StreamsChange)
    selection = Selection(body.has_audio is not False, body.has_video is not False)
    await call.services.broadcasts.change_streams(
        call.project,
        call.path["id"],
        body.add_stream or body.remove_stream or "",
        selection if body.add_stream is not None else None,
    )
    return empty_answer(204)


async def set_layout(call: Call) -> Answer:
    layout = _layout(call.read(requests.Layout))
    record = await call.services.broadcasts.set_layout(call.project, call.path["id"], layout)
    return _answer(call, record)


def _layout(layout: requests.Layout | None) -> dict[str, object]:
    if layout is None:
        return {"type": "bestFit"}
    found = {"screenshareType": layout.screenshare_type, "stylesheet": layout.stylesheet}
    return {"type": layout.type} | {name: text for name, text in found.items() if text is not None}


def _answer(call: Call, record: BroadcastRecord) -> Answer:
    return json_answer(200, _broadcast(call, record))


def _broadcast(call: Call, record: BroadcastRecord) -> replies.Broadcast:
    broadcasts = call.services.broadcasts
    urls = urls_of(record, broadcasts.hls_url(record))
    return replies.Broadcast(
        id=record.id,
        status=record.status,
        reason=record.reason,
        session_id=record.session_id,
        partner_id=int(record.project_id),
        created_at=record.created_ms,
        updated_at=record.updated_ms,
        resolution=record.resolution,
        stream_mode=record.stream_mode,
        has_audio=record.has_audio,
        has_video=record.has_video,
        max_duration=record.max_duration_s,
        max_bitrate=msgspec.UNSET if record.max_bitrate is None else record.max_bitrate,
        streams=tuple(
            replies.ArchivedStream(stream, selection.has_audio, selection.has_video)
            for stream, selection in broadcasts.selected(record.id).items()
        ),
        multi_broadcast_tag=record.tag or msgspec.UNSET,
        settings=msgspec.convert(settings_of(record), replies.OutputSettings),
        broadcast_urls=msgspec.convert(urls, replies.BroadcastUrls),
        **call.project_fields(),
    )
