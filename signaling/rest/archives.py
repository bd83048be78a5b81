"""Archives: one file of all streams, or one for each. Sessions that are end-to-end encrypted are
recorded by member services of their project alone."""

from typing import Any

import msgspec

from sfu.egress.composition import Composition, Layout
from signaling import audit
from signaling.archives.service import WantedArchive
from signaling.domain.archived_streams import Selection
from signaling.domain.archiving import (
    ArchiveRecord,
    StreamMode,
    composition_of,
    resolution_of,
)
from signaling.domain.errors import ErrorCode, Unavailable
from signaling.http.answers import Answer, empty_answer, json_answer
from signaling.rest import replies, requests
from signaling.rest.call import Call

TRANSCRIBED = "This server does not support transcriptions of archives."


async def start(call: Call) -> Answer:
    """The route's gate has checked the session."""
    body = call.read(requests.StartArchive)
    archives = call.services.archives
    session = await call.session(body.session_id)
    archives.check_available(session)
    if body.has_transcription:
        raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE, TRANSCRIBED)
    wanted = WantedArchive(
        name=body.name or "",
        stream_mode=StreamMode(body.stream_mode or "auto"),
        has_audio=body.has_audio is not False,
        has_video=body.has_video is not False,
        tag=body.multi_archive_tag or "",
        composition=None if body.output_mode == "individual" else _composition(body),
    )
    record = await archives.start(call.project, session, wanted)
    audit.archive_changed("started", record, call.dialect)
    return _answer(call, record)


def _composition(body: requests.StartArchive) -> Composition:
    return composition_of(
        body.resolution,
        layout_of(body.layout),
        has_audio=body.has_audio is not False,
        has_video=body.has_video is not False,
        bitrate_bps=body.max_bitrate,
        quantization=body.quantization_parameter,
    )


def layout_of(wanted: requests.Layout | None) -> Layout:
    if wanted is None:
        return Layout()
    return Layout(wanted.type, wanted.screenshare_type, wanted.stylesheet)


async def show(call: Call) -> Answer:
    return _answer(call, await call.services.archives.show(call.project, call.path["id"]))


async def page(call: Call) -> Answer:
    wanted = requests.read_query(call.query, requests.Page)
    # The SDKs spell it in two ways.
    session = wanted.session_id or call.query.get("session_id")
    limit = requests.DEFAULT_PAGE if wanted.count is None else wanted.count
    total, found = await call.services.archives.page(
        call.project, session, wanted.offset or 0, limit
    )
    items = tuple(_archive(call, record) for record in found)
    return json_answer(200, replies.Archives(count=total, items=items))


async def stop(call: Call) -> Answer:
    record = await call.services.archives.stop(call.project, call.path["id"])
    audit.archive_changed("stopped", record, call.dialect)
    return _answer(call, record)


async def delete(call: Call) -> Answer:
    record = await call.services.archives.delete(call.project, call.path["id"])
    audit.archive_changed("deleted", record, call.dialect)
    return empty_answer(204)


async def change_streams(call: Call) -> Answer:
    body = call.read(requests.StreamsChange)
    added = body.add_stream is not None
    selection = Selection(body.has_audio is not False, body.has_video is not False)
    await call.services.archives.change_streams(
        call.project,
        call.path["id"],
        body.add_stream or body.remove_stream or "",
        selection if added else None,
    )
    return empty_answer(204)


async def set_layout(call: Call) -> Answer:
    wanted, archives = call.read(requests.Layout), call.services.archives
    await archives.show(call.project, call.path["id"])  # its absence says more than its layout
    record = await archives.set_layout(call.project, call.path["id"], layout_of(wanted))
    return _answer(call, record)


def _answer(call: Call, record: ArchiveRecord) -> Answer:
    return json_answer(200, _archive(call, record))


def _archive(call: Call, record: ArchiveRecord) -> replies.Archive:
    archives, composition = call.services.archives, record.composition
    return replies.Archive(
        id=record.id,
        status=record.status,
        name=record.name,
        reason=record.reason,
        session_id=record.session_id,
        partner_id=int(record.project_id),
        created_at=record.created_ms,
        updated_at=record.updated_ms,
        size=record.size_bytes,
        duration=record.duration_s,
        output_mode=record.output_mode,
        stream_mode=record.stream_mode,
        has_audio=record.has_audio,
        has_video=record.has_video,
        url=archives.link(call.project, record),
        streams=tuple(
            replies.ArchivedStream(stream, selection.has_audio, selection.has_video)
            for stream, selection in archives.selected(record.id).items()
        ),
        multi_archive_tag=record.tag or msgspec.UNSET,
        sha256sum=record.sha256,
        **_composed(composition),
        **call.project_fields(),
    )


def _composed(composition: Composition | None) -> dict[str, Any]:
    """The members that only a composed archive has."""
    if composition is None:
        return {}
    found = {
        "resolution": resolution_of(composition),
        "max_bitrate": composition.bitrate_bps,
        "quantization_parameter": composition.quantization,
    }
    return {name: value for name, value in found.items() if value is not None}
