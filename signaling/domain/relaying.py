"""Relayed Sessions: clients send media to each other, and the server passes on their negotiation.

Each Subscriber is negotiated on its own: the stream's publisher offers, the subscriber answers. A
client can therefore reach only the publishers it subscribes to and its own subscribers.
"""

from sfu.ids import ConnectionId, StreamId, SubscriberId
from signaling.domain.commands import FromClient
from signaling.domain.effects import Effects, Send
from signaling.domain.errors import ErrorCode, error
from signaling.domain.session_state import Bucket, SessionState
from signaling.protocol import messages as m

MAX_PEERS_PER_STREAM = 2
"""Subscribers that one client may have to one stream: a second while the first is ending."""
PASSED_BYTES_PER_S = 65_536.0
PASSED_BYTES_BURST = 1_048_576.0
"""Bytes passed on per client: enough for the descriptions of some hundred peers at once."""


def check_peers(state: SessionState, connection: ConnectionId, stream: StreamId) -> None:
    """Limits Subscribers: each costs its publisher a peer connection and an encoder.

    Errors: `invalid_parameter` for an own stream, `subscriber_limit`.
    """
    found = state.streams[stream]
    if found.owner == connection:
        raise error(
            ErrorCode.INVALID_PARAMETER, "A client cannot subscribe to its own relayed stream."
        )
    mine = sum(state.subscribers[name].owner == connection for name in found.subscribers)
    if mine >= MAX_PEERS_PER_STREAM:
        raise error(ErrorCode.SUBSCRIBER_LIMIT)


def notify_peer_subscribed(state: SessionState, name: SubscriberId) -> Send:
    """Notifies the publisher which media of its stream a Subscriber receives."""
    found = state.subscribers[name]
    subscribed = m.PeerSubscribed(
        subscriber_id=name,
        stream_id=found.stream,
        connection_id=found.owner,
        audio=found.wants_audio,
        video=found.wants_video,
    )
    return Send(state.streams[found.stream].owner, subscribed)


def notify_peer_unsubscribed(state: SessionState, name: SubscriberId) -> Effects:
    """Notifies the publisher that a Subscriber, which is still in the state, is ending."""
    if not state.relayed:
        return []
    publisher = state.streams[state.subscribers[name].stream].owner
    return [Send(publisher, m.PeerUnsubscribed(subscriber_id=name))]


def handle_description(
    state: SessionState, command: FromClient[m.PeerDescription], now_ms: int
) -> Effects:
    """Errors: `invalid_parameter`, `subscriber_not_found`, `rate_limited`."""
    request = command.message
    other, is_publisher = _other_end(state, command.connection, request.subscriber_id)
    if is_publisher is not (request.type == "offer"):
        raise error(ErrorCode.INVALID_PARAMETER, "The publisher offers, the subscriber answers.")
    _pay(state, command.connection, len(request.sdp), now_ms)
    passed = m.PeerDescriptionReceived(
        subscriber_id=request.subscriber_id, type=request.type, sdp=request.sdp
    )
    return [Send(other, passed), Send(command.connection, m.Ok(re=request.id))]


def handle_candidate(
    state: SessionState, command: FromClient[m.PeerCandidate], now_ms: int
) -> Effects:
    """Errors: `invalid_parameter`, `subscriber_not_found`, `rate_limited`."""
    request = command.message
    other, _ = _other_end(state, command.connection, request.subscriber_id)
    _pay(state, command.connection, len(request.candidate), now_ms)
    passed = m.PeerCandidateReceived(
        subscriber_id=request.subscriber_id, candidate=request.candidate, mid=request.mid
    )
    return [Send(other, passed), Send(command.connection, m.Ok(re=request.id))]


def _other_end(
    state: SessionState, connection: ConnectionId, subscriber: str
) -> tuple[ConnectionId, bool]:
    """The other end of a Subscriber, and whether `connection` is the publisher."""
    if not state.relayed:
        raise error(ErrorCode.INVALID_PARAMETER, "The session is not relayed.")
    found = state.subscribers.get(SubscriberId(subscriber))
    if found is not None:
        publisher = state.streams[found.stream].owner
        if connection == publisher:
            return found.owner, True
        if connection == found.owner:
            return publisher, False
    raise error(ErrorCode.SUBSCRIBER_NOT_FOUND)


def _pay(state: SessionState, connection: ConnectionId, size: int, now_ms: int) -> None:
    payer = state.connections[connection]
    if payer.passed is None:
        payer.passed = Bucket(PASSED_BYTES_BURST, now_ms)
    payer.passed.take(now_ms, PASSED_BYTES_PER_S, PASSED_BYTES_BURST, float(size))
