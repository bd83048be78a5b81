"""Subscribers: which media a Connection receives, and when it is paused."""

import msgspec

from sfu.ids import StreamId, SubscriberId
from signaling.domain.commands import FromClient, Play
from signaling.domain.effects import (
    AnswerDownlink,
    Effects,
    ForwardSubscriber,
    PreferLayers,
    RestartIceMedia,
    Send,
    SubscribeMedia,
    UnsubscribeMedia,
)
from signaling.domain.errors import ErrorCode, error
from signaling.domain.relaying import check_peers, notify_peer_subscribed, notify_peer_unsubscribed
from signaling.domain.session_state import SessionState, Subscriber
from signaling.protocol import messages as m


def handle_subscribe(state: SessionState, command: FromClient[m.Subscribe], now_ms: int) -> Effects:
    """Errors: `stream_not_found`, `captions_need_clear_media`, `subscriber_limit`; later those of
    the media plane."""
    del now_ms
    request = command.message
    state.live_stream(request.stream_id)
    _note_captions(state, is_wanted=request.captions)
    if state.relayed:
        check_peers(state, command.connection, StreamId(request.stream_id))
    connection = state.connections[command.connection]
    if len(connection.subscribers) >= state.limits.subscribers_per_connection:
        raise error(ErrorCode.SUBSCRIBER_LIMIT)
    name, stream = SubscriberId(command.fresh_id), StreamId(request.stream_id)
    found = Subscriber(
        owner=command.connection,
        stream=stream,
        wants_audio=request.audio,
        wants_video=request.video,
        resolution=request.preferred_resolution,
        frame_rate=request.preferred_frame_rate,
        wants_captions=request.captions,
    )
    state.add_subscriber(name, found)
    done = m.Subscribed(re=request.id, subscriber_id=name, stream_id=stream)
    if state.relayed:
        return [Send(command.connection, done), notify_peer_subscribed(state, name)]
    effects: Effects = [SubscribeMedia(command.connection, name, request, connection.codecs)]
    if found.resolution is not None or found.frame_rate is not None:
        effects.append(_prefer_layers(name, found))
    return [*effects, Send(command.connection, done)]


def _note_captions(state: SessionState, *, is_wanted: bool) -> None:
    """Errors: `captions_need_clear_media`: whoever waits for them should know."""
    if is_wanted and state.e2ee:
        raise error(ErrorCode.CAPTIONS_NEED_CLEAR_MEDIA)
    state.captions_asked |= is_wanted and state.hears_media


def handle_play(state: SessionState, command: Play, now_ms: int) -> Effects:
    """Errors: `not_connected`, `permission_denied`, `stream_not_found`, `subscriber_limit`."""
    del now_ms
    connection = state.connections.get(command.connection)
    if connection is None:
        raise error(ErrorCode.NOT_CONNECTED)
    if not connection.capabilities.subscribe:
        raise error(ErrorCode.PERMISSION_DENIED)
    state.live_stream(command.stream)
    if len(connection.subscribers) >= state.limits.subscribers_per_connection:
        raise error(ErrorCode.SUBSCRIBER_LIMIT)
    found = Subscriber(
        owner=command.connection,
        stream=command.stream,
        wants_audio=True,
        wants_video=True,
        resolution=None,
        frame_rate=None,
    )
    state.add_subscriber(command.subscriber, found)
    return []


def _prefer_layers(name: SubscriberId, found: Subscriber) -> PreferLayers:
    rate = None if found.frame_rate is None else float(found.frame_rate)
    return PreferLayers(found.owner, name, found.resolution, rate)


def handle_answer(
    state: SessionState, command: FromClient[m.DownlinkAnswer], now_ms: int
) -> Effects:
    del state, now_ms
    request = command.message
    answer = AnswerDownlink(command.connection, request.offer_id, request.sdp, request.id)
    return [answer, Send(command.connection, m.Ok(re=request.id))]


def handle_restart(state: SessionState, command: FromClient[m.RestartIce], now_ms: int) -> Effects:
    """Errors: `invalid_parameter` in a relayed session, for an uplink without an offer, and for a
    downlink with one."""
    del now_ms
    request = command.message
    if state.relayed or (request.direction == "uplink") != bool(request.offer):
        raise error(
            ErrorCode.INVALID_PARAMETER,
            "Only routed sessions restart ICE; the uplink needs an offer, the downlink takes none.",
        )
    return [RestartIceMedia(command.connection, request)]


def handle_update(
    state: SessionState, command: FromClient[m.UpdateSubscriber], now_ms: int
) -> Effects:
    """An absent member leaves its property unchanged. Errors: `subscriber_not_found`,
    `captions_need_clear_media`."""
    del now_ms
    request = command.message
    found = state.own_subscriber(command.connection, request.subscriber_id)
    name = SubscriberId(request.subscriber_id)
    _note_captions(state, is_wanted=request.captions is True)
    if request.captions is not msgspec.UNSET:
        found.wants_captions = request.captions
    effects: Effects = []
    if request.audio is not msgspec.UNSET:
        found.wants_audio = request.audio
        effects.append(ForwardSubscriber(command.connection, name, "audio", request.audio))
    if request.video is not msgspec.UNSET:
        found.wants_video = request.video
        forwarding = request.video and not found.mismatched
        effects.append(ForwardSubscriber(command.connection, name, "video", forwarding))
    size, rate = request.preferred_resolution, request.preferred_frame_rate
    if size is not msgspec.UNSET:
        found.resolution = size
    if rate is not msgspec.UNSET:
        found.frame_rate = rate
    if state.relayed:
        return [notify_peer_subscribed(state, name), Send(command.connection, m.Ok(re=request.id))]
    if size is not msgspec.UNSET or rate is not msgspec.UNSET:
        effects.append(_prefer_layers(name, found))
    return [*effects, Send(command.connection, m.Ok(re=request.id))]


def handle_unsubscribe(
    state: SessionState, command: FromClient[m.Unsubscribe], now_ms: int
) -> Effects:
    """Errors: `subscriber_not_found`."""
    del now_ms
    request = command.message
    state.own_subscriber(command.connection, request.subscriber_id)
    name = SubscriberId(request.subscriber_id)
    ok = Send(command.connection, m.Ok(re=request.id))
    if state.relayed:
        gone = notify_peer_unsubscribed(state, name)
        state.drop_subscriber(name)
        return [*gone, ok]
    state.drop_subscriber(name)
    return [UnsubscribeMedia(command.connection, name), ok]
