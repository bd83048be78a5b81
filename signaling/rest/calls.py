"""SIP calls: a telephone in a session."""

from signaling import audit
from signaling.calls.call import WantedCall
from signaling.domain.sip_calling import (
    caller_of,
    check_digits,
    check_headers,
    check_login,
    target_of,
)
from signaling.http.answers import Answer, empty_answer, json_answer
from signaling.rest import replies, requests
from signaling.rest.call import Call


async def dial(call: Call) -> Answer:
    """The route's gate has checked the session."""
    body = call.read(requests.Dial)
    calls = call.services.calls
    calls.check_available()
    wanted = _wanted(body.sip)
    admission = await call.services.authenticator.authenticate(
        call.project.api_key, body.session_id, body.token
    )
    made = await calls.start(admission, wanted)
    audit.called(admission.session, made.id, call.dialect)
    answer = replies.SipCall(
        id=made.id,
        connection_id=made.connection,
        stream_id=made.stream,
        session_id=body.session_id,
        project_id=call.project.api_key,
    )
    return json_answer(200, answer)


async def play_dtmf(call: Call) -> Answer:
    """Tones for all calls of a session, or for one."""
    digits = call.read(requests.Digits).digits or ""
    check_digits(digits)
    record = await call.session()
    call.services.calls.press(record.session_id, digits, call.path.get("connection"))
    return empty_answer(200)


def _wanted(asked: requests.Sip) -> WantedCall:
    """Errors: `invalid_parameter`."""
    headers, target = asked.headers or {}, target_of(asked.uri)
    check_headers(headers)
    if asked.auth is not None:
        check_login(asked.auth.username, asked.auth.password)
    return WantedCall(
        target=target,
        caller=caller_of(asked.from_, target),
        headers=headers,
        username=None if asked.auth is None else asked.auth.username,
        password="" if asked.auth is None else asked.auth.password,
        secure=bool(asked.secure),
        observes_mute=bool(asked.observe_force_mute),
        streams=frozenset(asked.streams) if asked.streams else None,
    )
