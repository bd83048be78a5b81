"""Features that need unencrypted media: archive, broadcast, render, SIP, audio connector, captions.

Each start route names its Feature in the route table, and its gate runs before the handler.
"""

from signaling import audit
from signaling.domain.errors import ErrorCode, Unavailable
from signaling.domain.features import Feature, refusal
from signaling.http.answers import Answer, json_answer
from signaling.rest.call import Call
from signaling.rest.replies import NoItems
from signaling.rest.requests import Start


async def gate(call: Call, feature: Feature) -> None:
    """Passes if the feature may start in the session that the body names.

    The order is fixed: syntax, session, encryption, media mode. So the answer for an encrypted
    session does not depend on connected clients or on a client token. It passes too where a member
    service of the session's project does there what the server cannot.
    """
    record = await call.session(call.read(Start).session_id)
    refused = refusal(feature, record.options)
    members = call.services.members
    if record.options.e2ee and members.offers(record.project_id, feature):
        refused = None
    if refused is not None:
        reason, failure = refused
        call.services.metrics.refusals.labels(feature.value, reason).inc()
        audit.feature_refused(feature, reason, record, call.dialect)
        raise failure


async def unavailable(_call: Call) -> Answer:
    raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE)


async def empty_list(_call: Call) -> Answer:
    return json_answer(200, NoItems())
