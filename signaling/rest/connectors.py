"""Audio Connectors: a session's audio to a WebSocket of the application, and back."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from sfu.egress.connector_jobs import AudioFormat, Rate
from signaling import audit
from signaling.connectors.connection import WantedConnection
from signaling.domain.audio_connecting import MAX_STATIC_BYTES, check_headers, target_of
from signaling.domain.errors import BadRequest, ErrorCode
from signaling.http.answers import Answer, empty_answer, json_answer
from signaling.rest import replies, requests
from signaling.rest.bodies import json_fields
from signaling.rest.call import Call

DEFAULT_RATE_HZ: Rate = 16_000
TRANSPORT_INVALID = (
    "'audioTransport' must have 'transport' binary or json, 'encoding' base64, the names "
    "'audio_field' and 'receive_audio_field', and an object 'static_fields', each once"
)


async def start(call: Call) -> Answer:
    """The route's gate has checked the session."""
    body = call.read(requests.ConnectAudio)
    connectors = call.services.connectors
    connectors.check_available()
    wanted = _wanted(body.websocket)
    admission = await call.services.authenticator.authenticate(
        call.project.api_key, body.session_id, body.token
    )
    connection = await connectors.start(admission, wanted)
    audit.audio_connected(admission.session, connection.id, call.dialect)
    answer = replies.AudioConnection(id=connection.id, connection_id=connection.connection)
    return json_answer(200, answer)


async def stop(call: Call) -> Answer:
    await call.services.connectors.stop(call.project, call.path["id"])
    return empty_answer(200)


def _wanted(asked: requests.AudioWebSocket) -> WantedConnection:
    """Errors: `invalid_parameter`."""
    headers = asked.headers or {}
    check_headers(headers)
    return WantedConnection(
        target=target_of(asked.uri),
        audio=_audio(asked),
        headers=headers,
        streams=frozenset(asked.streams) if asked.streams else None,
    )


def _audio(asked: requests.AudioWebSocket) -> AudioFormat:
    fields = _transport(asked.audio_transport)
    rate_hz: Rate = asked.audio_rate or DEFAULT_RATE_HZ
    bidirectional = bool(asked.bidirectional)
    if fields.transport == "binary":
        return AudioFormat(rate_hz, bidirectional)
    static = fields.static_fields or {}
    if len(json.dumps(static).encode()) > MAX_STATIC_BYTES:
        raise _invalid(f"'static_fields' have more than {MAX_STATIC_BYTES} bytes")
    return AudioFormat(
        rate_hz,
        bidirectional,
        audio_field=fields.audio_field,
        receive_audio_field=fields.receive_audio_field or fields.audio_field,
        static_fields=static,
    )


def _transport(given: Mapping[str, Any] | str | None) -> requests.AudioTransport:
    """The SDKs send an object, with either spelling of its members, or JSON text."""
    if given is None:
        return requests.AudioTransport()
    try:
        fields = json_fields(given.encode()) if isinstance(given, str) else given
        spelled = {_snake(name): value for name, value in fields.items() if value is not None}
        if len(spelled) < sum(value is not None for value in fields.values()):
            raise _invalid(TRANSPORT_INVALID)
        return msgspec.convert(spelled, requests.AudioTransport)
    except (BadRequest, ValueError):
        raise _invalid(TRANSPORT_INVALID) from None


def _snake(name: str) -> str:
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in name)


def _invalid(text: str) -> BadRequest:
    return BadRequest(ErrorCode.INVALID_PARAMETER, f"{text}.")
