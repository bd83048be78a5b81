"""Features that need clear media: archive, broadcast, render, SIP, audio connector, captions.

Each start route names its Feature in the route table; the gate there runs before the handlers
here. On clear sessions they answer that this server has no such service yet; what exists
already (nothing) can be listed, read and stopped.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from signaling.domain.errors import BadRequest, ErrorCode, NotFound, Unavailable
from signaling.domain.features import Feature, refusal
from signaling.rest.answers import Answer, json_answer
from signaling.rest.bodies import Fields, required_text, text_field
from signaling.rest.call import Call

MAX_LIST_COUNT = 1_000
_SIP_DIGITS = frozenset("0123456789*#p")


def _check_outputs(fields: Fields) -> None:
    outputs = fields.get("outputs")
    if not isinstance(outputs, dict) or not ({"hls", "rtmp"} & outputs.keys()):
        raise BadRequest(ErrorCode.INVALID_PARAMETER, "'outputs' must name 'hls' or 'rtmp'.")


def _check_archive(fields: Fields) -> None:
    if fields.get("hasAudio") is False and fields.get("hasVideo") is False:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, "'hasAudio' and 'hasVideo' can not both be false."
        )
    if fields.get("outputMode") not in (None, "composed", "individual"):
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, "'outputMode' must be composed or individual."
        )


def _check_member_uri(member: str) -> Callable[[Fields], None]:
    def check(fields: Fields) -> None:
        required_text(fields, "token")
        part = fields.get(member)
        if not isinstance(part, dict):
            raise BadRequest(ErrorCode.INVALID_PARAMETER, f"'{member}' must be an object.")
        required_text(part, "uri")

    return check


def _check_render(fields: Fields) -> None:
    required_text(fields, "token")
    required_text(fields, "url")


def _check_captions(fields: Fields) -> None:
    required_text(fields, "token")


SYNTAX: Mapping[Feature, Callable[[Fields], None]] = MappingProxyType(
    {
        Feature.ARCHIVE: _check_archive,
        Feature.BROADCAST: _check_outputs,
        Feature.RENDER: _check_render,
        Feature.SIP: _check_member_uri("sip"),
        Feature.AUDIO_CONNECTOR: _check_member_uri("websocket"),
        Feature.CAPTIONS: _check_captions,
    }
)


async def gate(call: Call, feature: Feature) -> None:
    """Passes when the feature may start on the session that the body names.

    The order is fixed: syntax, session known, sealed, relayed. So the answer for a sealed
    session depends on nobody's presence and on no client token.
    """
    session_id = required_text(call.fields, "sessionId")
    SYNTAX[feature](call.fields)
    record = await call.session(session_id)
    refused = refusal(feature, record.options)
    if refused is not None:
        reason, failure = refused
        call.services.metrics.refusals.labels(feature.value, reason).inc()
        raise failure


async def unavailable(_call: Call) -> Answer:
    raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE)


async def empty_list(call: Call) -> Answer:
    """A page of nothing; the page's bounds are checked all the same."""
    for name, low, high in (("offset", 0, 2**31), ("count", 0, MAX_LIST_COUNT)):
        value = call.query.get(name)
        if value is None:
            continue
        if not value.isascii() or not value.isdigit() or not low <= int(value[:12]) <= high:
            raise BadRequest(
                ErrorCode.INVALID_PARAMETER, f"'{name}' must be a number up to {high}."
            )
    return json_answer(200, {"count": 0, "items": []})


def missing(code: ErrorCode) -> Callable[[Call], Awaitable[Answer]]:
    """A handler for things that can not exist yet: whatever the id, there is none."""

    async def handler(_call: Call) -> Answer:
        raise NotFound(code)

    return handler


async def play_dtmf(call: Call) -> Answer:
    """Tones go to SIP calls only, and no session has one."""
    digits = text_field(call.fields, "digits")
    if not digits or not set(digits) <= _SIP_DIGITS:
        raise BadRequest(ErrorCode.DIGITS_INVALID)
    await call.session()
    raise NotFound(ErrorCode.SIP_LEG_NOT_FOUND)
