"""Creates and shows sessions."""

from datetime import UTC, datetime

from signaling.domain.session_creation import Circumstances, new_session
from signaling.domain.session_ids import RANDOM_BYTES
from signaling.http.answers import JSON, Answer, json_answer, xml_session_answer
from signaling.rest import replies
from signaling.rest.call import Call


async def create_session(call: Call) -> Answer:
    """Creates a session. It is durable when the answer is sent."""
    unified = call.credential_kind == "application"
    circumstances = Circumstances(
        now_ms=int(call.services.clock.unix_s() * 1000),
        random_bytes=call.services.random_bytes(RANDOM_BYTES),
        named_by=call.project.application_id if unified else call.project.api_key,
        e2ee_default=call.e2ee_default,
    )
    record = new_session(call.project, call.fields, circumstances)
    await call.services.store.add_session(record)
    call.services.metrics.sessions_created.labels(str(record.options.e2ee).lower()).inc()
    created = datetime.fromtimestamp(circumstances.now_ms / 1000, UTC).strftime(
        "%a %b %d %H:%M:%S UTC %Y"
    )
    if not unified and JSON not in call.accept:
        # SDKs that do not ask for JSON parse XML.
        return xml_session_answer(
            {
                "session_id": record.session_id,
                "partner_id": call.project.api_key,
                "create_dt": created,
                "media_server_url": "",
            }
        )
    answer = replies.CreatedSession(
        session_id=record.session_id,
        project_id=circumstances.named_by,
        partner_id=call.project.api_key,
        create_dt=created,
        e2ee=record.options.e2ee,
        application_id=circumstances.named_by if unified else None,
    )
    return json_answer(200, [answer])


async def get_session(call: Call) -> Answer:
    """Shows the options of a session, including whether it is end-to-end encrypted."""
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
