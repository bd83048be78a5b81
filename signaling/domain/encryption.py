"""End-to-end encrypted sessions: clients announce hints of their secrets, and the server pauses
video for subscribers that cannot decrypt it.

The server only ever sees hints, never a secret. Source: docs/e2ee.md section 9.
"""

from collections.abc import Iterable
from itertools import groupby

from sfu.ids import ConnectionId, StreamId, SubscriberId
from signaling.domain.commands import FromClient, KidsDeclared, UnencryptedDropped
from signaling.domain.effects import (
    Broadcast,
    DeclareKidsMedia,
    Effects,
    ForwardSubscriber,
    Send,
)
from signaling.domain.errors import ErrorCode, error
from signaling.domain.session_state import Connection, SessionState
from signaling.protocol import messages as m

HINT_BYTES = 2


def hints_of(kids: Iterable[bytes]) -> tuple[bytes, ...]:
    """The hints in a list of key ids, in order of use. A hint may appear twice: a client can return
    to an earlier secret."""
    return tuple(hint for hint, _ in groupby(kid[-HINT_BYTES:] for kid in kids))


def handle_state(state: SessionState, command: FromClient[m.E2eeState], now_ms: int) -> Effects:
    """A mismatch pauses the subscriber's video; `ok` resumes it with one key frame.

    Errors: `invalid_parameter` if the Session is not end-to-end encrypted, `subscriber_not_found`.
    """
    del now_ms
    request = command.message
    if not state.e2ee:
        raise error(ErrorCode.INVALID_PARAMETER)
    found = state.own_subscriber(command.connection, request.subscriber_id)
    name = SubscriberId(request.subscriber_id)
    found.decrypted, found.failed = request.decrypted, request.failed
    effects: Effects = []
    if request.state == "ok":
        effects = _resume_video(state, [name])
    elif not found.mismatched:
        found.mismatched = True
        effects = [ForwardSubscriber(command.connection, name, "video", forwarding=False)]
    return [*effects, Send(command.connection, m.Ok(re=request.id))]


def handle_ready(state: SessionState, command: FromClient[m.E2eeReady], now_ms: int) -> Effects:
    """A client with another secret may now decrypt what it could not: its paused video resumes.

    The announcement goes to publishers, which wait for it before they switch secrets, and to
    subscribers of the announcer's streams, which may be able to decrypt them now. It goes to no
    other client: when a large Session changes its secret, all clients announce it at once.

    Errors: `invalid_parameter` if the Session is not end-to-end encrypted.
    """
    del now_ms
    if not state.e2ee:
        raise error(ErrorCode.INVALID_PARAMETER)
    request, connection = command.message, state.connections[command.connection]
    effects: Effects = []
    if connection.hint != request.hint:
        effects = _resume_video(state, connection.subscribers)
    connection.hint = request.hint
    state.hints_announced += 1
    connection.hint_number = state.hints_announced
    announced = m.HintAnnounced(connection_id=command.connection, hint=request.hint)
    recipients = _hint_recipients(state, connection)
    announcement = Broadcast(announced, but=command.connection, to=recipients)
    return [announcement, *effects, Send(command.connection, m.Ok(re=request.id))]


def _hint_recipients(state: SessionState, announcer: Connection) -> tuple[ConnectionId, ...]:
    """All publishers and the announcer's subscribers, each once."""
    senders = dict.fromkeys(stream.owner for stream in state.streams.values())
    for sender in senders:
        state.connections[sender].hints_seen = state.hints_announced
    received = (name for own in announcer.streams for name in state.streams[own].subscribers)
    return tuple(senders | dict.fromkeys(state.subscribers[name].owner for name in received))


def missed_hints(state: SessionState, connection: ConnectionId) -> Effects:
    """The announcements that a new publisher has not received."""
    sender = state.connections[connection]
    missed = [
        Send(connection, m.HintAnnounced(connection_id=name, hint=other.hint))
        for name, other in state.connections.items()
        if other.hint is not None and other.hint_number > sender.hints_seen and name != connection
    ]
    sender.hints_seen = state.hints_announced
    return [*missed]


def handle_declare(state: SessionState, command: FromClient[m.DeclareKids], now_ms: int) -> Effects:
    """Errors: `stream_not_found`, `permission_denied`, `track_unknown`; then those of the media
    plane, which leave the state unchanged."""
    del now_ms
    request = command.message
    found = state.own_stream(command.connection, request.stream_id)
    if request.mid not in found.mids:
        raise error(ErrorCode.TRACK_UNKNOWN)
    stream = StreamId(request.stream_id)
    return [DeclareKidsMedia(command.connection, stream, request.mid, request.kids, request.id)]


def handle_declared(state: SessionState, command: KidsDeclared, now_ms: int) -> Effects:
    """A stream with new hints resumes for subscribers that could not decrypt it.

    The core requests a key frame itself when frames under a new hint do not begin with one.
    """
    del now_ms
    found, hints = state.streams.get(command.stream), hints_of(command.kids)
    effects: Effects = []
    if found is not None and hints != found.hints[command.mid]:
        found.hints[command.mid] = hints
        effects = _resume_video(state, found.subscribers)
    return [*effects, Send(command.connection, m.Ok(re=command.request))]


def handle_unencrypted(state: SessionState, command: UnencryptedDropped, now_ms: int) -> Effects:
    """Notifies the publisher that its unencrypted packets are not forwarded."""
    found = state.streams.get(command.stream)
    if found is None:
        return []
    found.unencrypted_packets += command.packets
    found.unencrypted_ms = now_ms
    dropped = m.NotEncrypted(stream_id=command.stream, mid=command.mid, packets=command.packets)
    return [Send(found.owner, dropped)]


def _resume_video(state: SessionState, names: Iterable[SubscriberId]) -> Effects:
    """Clears the mismatch of Subscribers. Resumed video starts at a key frame, which the core
    requests.

    Optimistic: a Subscriber to video only receives nothing while paused that could show its
    recovery. A client that still cannot decrypt reports a mismatch again.
    """
    effects: Effects = []
    for name in names:
        found = state.subscribers[name]
        if found.mismatched:
            found.mismatched = False
            if found.wants_video:
                effects.append(ForwardSubscriber(found.owner, name, "video", forwarding=True))
    return effects
