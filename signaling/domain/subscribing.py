"""Subscribers: what a Connection receives, and what holds it back."""

import msgspec

from sfu.ids import StreamId, SubscriberId
from signaling.domain.commands import FromClient
from signaling.domain.effects import (
    AnswerDownlink,
    Effects,
    ForwardSubscriber,
    RequestKeyFrame,
    Send,
    SubscribeMedia,
    UnsubscribeMedia,
    WishLayer,
)
from signaling.domain.errors import ErrorCode, error
from signaling.domain.session_state import Delivery, SessionState
from signaling.protocol import messages as m


def handle_subscribe(state: SessionState, command: FromClient, now_ms: int) -> Effects:
    """Errors: `permission_denied`, `stream_not_found`, `subscriber_limit`."""
    del now_ms
    request = command.message
    assert isinstance(request, m.Subscribe)  # noqa: S101 - the table of handlers chose by type
    member = state.members[command.connection]
    if not member.capabilities.subscribe:
        raise error(ErrorCode.PERMISSION_DENIED)
    if not state.stream(request.stream_id).live:
        raise error(ErrorCode.STREAM_NOT_FOUND)
    own = sum(d.owner == command.connection for d in state.deliveries.values())
    if own >= state.limits.subscribers_per_connection:
        raise error(ErrorCode.SUBSCRIBER_LIMIT)
    name, stream = SubscriberId(command.fresh_id), StreamId(request.stream_id)
    state.deliveries[name] = Delivery(command.connection, stream, request.video)
    effects: Effects = [SubscribeMedia(command.connection, name, request, member.codecs)]
    if request.preferred_resolution is not None or request.preferred_frame_rate is not None:
        wish = (request.preferred_resolution, request.preferred_frame_rate)
        effects.append(WishLayer(command.connection, name, *wish))
    done = m.Subscribed(re=request.id, subscriber_id=name, stream_id=stream)
    return [*effects, Send(command.connection, done)]


def handle_answer(state: SessionState, command: FromClient, now_ms: int) -> Effects:
    del state, now_ms
    request = command.message
    assert isinstance(request, m.DownlinkAnswer)  # noqa: S101 - the table of handlers chose by type
    answer = AnswerDownlink(command.connection, request.number, request.sdp, request.id)
    return [answer, Send(command.connection, m.Ok(re=request.id))]


def handle_update(state: SessionState, command: FromClient, now_ms: int) -> Effects:
    del now_ms
    request = command.message
    assert isinstance(request, m.UpdateSubscriber)  # noqa: S101 - the table of handlers chose by type
    found = state.own_delivery(command.connection, request.subscriber_id)
    name = SubscriberId(request.subscriber_id)
    effects: Effects = []
    if isinstance(request.audio, bool):
        effects.append(ForwardSubscriber(command.connection, name, "audio", request.audio))
    if isinstance(request.video, bool):
        found.wants_video = request.video
        forwarding = request.video and not found.sealed_off
        effects.append(ForwardSubscriber(command.connection, name, "video", forwarding))
    size, rate = request.preferred_resolution, request.preferred_frame_rate
    if not (size is msgspec.UNSET and rate is msgspec.UNSET):
        effects.append(
            WishLayer(
                command.connection,
                name,
                size if isinstance(size, m.Dimensions) else None,
                rate if isinstance(rate, float) else None,
            )
        )
    return [*effects, Send(command.connection, m.Ok(re=request.id))]


def handle_unsubscribe(state: SessionState, command: FromClient, now_ms: int) -> Effects:
    del now_ms
    request = command.message
    assert isinstance(request, m.Unsubscribe)  # noqa: S101 - the table of handlers chose by type
    state.own_delivery(command.connection, request.subscriber_id)
    name = SubscriberId(request.subscriber_id)
    del state.deliveries[name]
    ok = Send(command.connection, m.Ok(re=request.id))
    return [UnsubscribeMedia(command.connection, name), ok]


def handle_e2ee_state(state: SessionState, command: FromClient, now_ms: int) -> Effects:
    """A mismatch holds video back; the return to `ok` brings it with one key frame."""
    del now_ms
    request = command.message
    assert isinstance(request, m.E2eeState)  # noqa: S101 - the table of handlers chose by type
    found = state.own_delivery(command.connection, request.subscriber_id)
    name, sealed_off = SubscriberId(request.subscriber_id), request.state == "mismatch"
    effects: Effects = []
    if sealed_off != found.sealed_off:
        found.sealed_off = sealed_off
        forwarding = found.wants_video and not sealed_off
        effects.append(ForwardSubscriber(command.connection, name, "video", forwarding))
        if forwarding:
            owner = state.streams[found.stream].owner
            effects.append(RequestKeyFrame(owner, found.stream))
    return [*effects, Send(command.connection, m.Ok(re=request.id))]
