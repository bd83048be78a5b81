"""Features that need clear media: archive, broadcast, render, SIP, audio connector, captions.

Each start route names its Feature in the route table; the gate there runs before the handlers
here. On clear sessions they answer that this server has no such service yet; what exists
already (nothing) can be listed, read and stopped.
"""

from collections.abc import Awaitable, Callable

from signaling import audit
from signaling.domain.errors import BadRequest, ErrorCode, NotFound, Unavailable
from signaling.domain.features import Feature, refusal
from signaling.http.answers import Answer, json_answer
from signaling.rest.call import Call
from signaling.rest.replies import NoItems
from signaling.rest.requests import Digits, Start

_SIP_DIGITS = frozenset("0123456789*#p")


async def gate(call: Call, feature: Feature) -> None:
    """Passes when the feature may start on the session that the body names.

    The order is fixed: session known, sealed, relayed; the syntax was checked before. So the
    answer for a sealed session depends on nobody's presence and on no client token.
    """
    record = await call.session(call.read(Start).session_id)
    refused = refusal(feature, record.options)
    if refused is not None:
        reason, failure = refused
        call.services.metrics.refusals.labels(feature.value, reason).inc()
        audit.feature_refused(feature, reason, record, call.dialect)
        raise failure


async def unavailable(_call: Call) -> Answer:
    raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE)


async def empty_list(_call: Call) -> Answer:
    return json_answer(200, NoItems())


def missing(code: ErrorCode) -> Callable[[Call], Awaitable[Answer]]:
    """A handler for things that cannot exist yet: whatever the id, there is none."""

    async def handler(_call: Call) -> Answer:
        raise NotFound(code)

    return handler


async def play_dtmf(call: Call) -> Answer:
    """Tones go to SIP calls only, and no session has one."""
    digits = call.read(Digits).digits
    if not digits or not set(digits) <= _SIP_DIGITS:
        raise BadRequest(ErrorCode.DIGITS_INVALID)
    await call.session()
    raise NotFound(ErrorCode.SIP_LEG_NOT_FOUND)
