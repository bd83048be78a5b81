"""Sessions as such: made, and shown."""

from datetime import UTC, datetime

from signaling.domain.errors import BadRequest, ErrorCode
from signaling.domain.session_ids import RANDOM_BYTES, new_session_id
from signaling.domain.session_options import SessionRecord, parse_session_options
from signaling.rest import replies
from signaling.rest.answers import JSON, Answer, json_answer, xml_session_answer
from signaling.rest.call import Call


async def create_session(call: Call) -> Answer:
    """Makes a session. It is on disk when the answer leaves."""
    options = parse_session_options(
        call.fields, e2ee_default=call.e2ee_default or call.project.e2ee_by_default
    )
    if options.e2ee and not call.project.e2ee_enabled:
        raise BadRequest(ErrorCode.E2EE_NOT_ENABLED)
    unified = call.credential_kind == "application"
    named = call.project.application_id if unified else call.project.api_key
    now_ms = int(call.services.clock.unix_s() * 1000)
    session_id = new_session_id(
        named, options.location, now_ms, call.services.random_bytes(RANDOM_BYTES)
    )
    record = SessionRecord(session_id, call.project.api_key, options, now_ms)
    await call.services.store.add_session(record)
    call.services.metrics.sessions_created.labels(str(options.e2ee).lower()).inc()
    created = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
    if not unified and JSON not in call.accept:
        # SDKs that do not ask for JSON parse XML.
        return xml_session_answer(
            {
                "session_id": session_id,
                "partner_id": call.project.api_key,
                "create_dt": created,
                "media_server_url": "",
            }
        )
    answer = replies.CreatedSession(
        session_id=session_id,
        project_id=named,
        partner_id=call.project.api_key,
        create_dt=created,
        e2ee=options.e2ee,
        application_id=named if unified else None,
    )
    return json_answer(200, [answer])


async def get_session(call: Call) -> Answer:
    """What the session was made as; that it is sealed above all."""
    record = await call.session()
    answer = replies.Session(
        session_id=record.session_id,
        media_mode=record.options.media_mode.value,
        archive_mode=record.options.archive_mode.value,
        e2ee=record.options.e2ee,
        created_at=record.created_ms,
        **call.project_fields(),
    )
    return json_answer(200, answer)
