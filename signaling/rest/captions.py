"""Live captions of sessions that are not end-to-end encrypted."""

import msgspec

from signaling import audit
from signaling.captions.service import WantedCaptions
from signaling.domain.captioning import DEFAULT_MAX_DURATION_S, PROVIDER
from signaling.http.answers import Answer, empty_answer, json_answer
from signaling.rest import replies, requests
from signaling.rest.call import Call


async def start(call: Call) -> Answer:
    """The route's gate has checked the session."""
    body = call.read(requests.StartCaptions)
    captions = call.services.captions
    captions.check_available()
    admission = await call.services.authenticator.authenticate(
        call.project.api_key, body.session_id, body.token
    )
    wanted = WantedCaptions(
        language=body.language_code,
        partials=body.partial_captions not in (False, "false"),
        max_duration_s=body.max_duration or DEFAULT_MAX_DURATION_S,
        callback_url=body.status_callback_url or "",
    )
    record = await captions.start(admission, wanted)
    audit.captions_changed("started", record, call.dialect)
    return json_answer(202, replies.StartedCaptions(captions_id=record.id))


async def show(call: Call) -> Answer:
    captions = call.services.captions
    record = await captions.show(call.project, call.path["id"])
    answer = replies.Captions(
        caption_id=record.id,
        status=record.status,
        session_id=record.session_id,
        created_at=record.created_ms,
        updated_at=record.updated_ms,
        duration=record.duration_s(captions.unix_ms()),
        language_code=record.language,
        provider=PROVIDER,
        reason=record.reason or msgspec.UNSET,
        **call.project_fields(),
    )
    return json_answer(200, answer)


async def stop(call: Call) -> Answer:
    record = await call.services.captions.stop(call.project, call.path["id"])
    audit.captions_changed("stopped", record, call.dialect)
    return empty_answer(202)
