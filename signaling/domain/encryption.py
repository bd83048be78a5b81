"""Sealed sessions: hints of secrets announced, and video held back while it can not be opened.

The server learns hints alone, never a secret. Source: docs/e2ee.md section 9.
"""

from collections.abc import Iterable
from itertools import groupby

from sfu.ids import ConnectionId, StreamId, SubscriberId
from signaling.domain.commands import FromClient, KidsDeclared, UnsealedDropped
from signaling.domain.effects import (
    Broadcast,
    DeclareKidsMedia,
    Effects,
    ForwardSubscriber,
    RequestKeyFrame,
    Send,
)
from signaling.domain.errors import ErrorCode, error
from signaling.domain.session_state import Connection, SessionState
from signaling.protocol import messages as m

HINT_BYTES = 2


def hints_of(kids: Iterable[bytes]) -> tuple[bytes, ...]:
    """The part of key ids that says under which secret they are, in the order of their use: a
    secret that was left may come back."""
    return tuple(hint for hint, _ in groupby(kid[-HINT_BYTES:] for kid in kids))


def handle_state(state: SessionState, command: FromClient[m.E2eeState], now_ms: int) -> Effects:
    """A mismatch holds video back; the return to `ok` brings it with one key frame.

    Errors: `invalid_parameter` on a clear Session, `subscriber_not_found`.
    """
    del now_ms
    request = command.message
    if not state.e2ee:
        raise error(ErrorCode.INVALID_PARAMETER)
    found = state.own_subscriber(command.connection, request.subscriber_id)
    name = SubscriberId(request.subscriber_id)
    found.opened, found.failed = request.opened, request.failed
    effects: Effects = []
    if request.state == "ok":
        effects = _resume_video(state, [name])
    elif not found.mismatched:
        found.mismatched = True
        effects = [ForwardSubscriber(command.connection, name, "video", forwarding=False)]
    return [*effects, Send(command.connection, m.Ok(re=request.id))]


def handle_ready(state: SessionState, command: FromClient[m.E2eeReady], now_ms: int) -> Effects:
    """A client that has another secret may open what it could not: its video is tried again.

    Senders wait for the announcements of others, and receivers of the announcer's streams may
    open them now. Nobody else is told: when a large Session changes its secret, everybody
    announces it at once.

    Errors: `invalid_parameter` on a clear Session.
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
    told = Broadcast(announced, but=command.connection, to=_concerned(state, connection))
    return [told, *effects, Send(command.connection, m.Ok(re=request.id))]


def _concerned(state: SessionState, announcer: Connection) -> tuple[ConnectionId, ...]:
    """Those who send, and those who receive from the announcer; once each."""
    senders = dict.fromkeys(stream.owner for stream in state.streams.values())
    for sender in senders:
        state.connections[sender].heard_hints = state.hints_announced
    received = (name for own in announcer.streams for name in state.streams[own].subscribers)
    return tuple(senders | dict.fromkeys(state.subscribers[name].owner for name in received))


def missed_hints(state: SessionState, connection: ConnectionId) -> Effects:
    """What a member that begins to send was not told of before."""
    sender = state.connections[connection]
    missed = [
        Send(connection, m.HintAnnounced(connection_id=name, hint=other.hint))
        for name, other in state.connections.items()
        if other.hint is not None and other.hint_number > sender.heard_hints and name != connection
    ]
    sender.heard_hints = state.hints_announced
    return [*missed]


def handle_declare(state: SessionState, command: FromClient[m.DeclareKids], now_ms: int) -> Effects:
    """Errors: `stream_not_found`, `permission_denied`, `track_unknown`; those of the media, before
    anything has changed."""
    del now_ms
    request = command.message
    found = state.own_stream(command.connection, request.stream_id)
    if request.mid not in found.mids:
        raise error(ErrorCode.TRACK_UNKNOWN)
    stream = StreamId(request.stream_id)
    return [DeclareKidsMedia(command.connection, stream, request.mid, request.kids, request.id)]


def handle_declared(state: SessionState, command: KidsDeclared, now_ms: int) -> Effects:
    """A stream under another secret is tried again by all who could not open it.

    The core asks for a key frame itself when frames under a new hint do not begin with one.
    """
    del now_ms
    found, hints = state.streams.get(command.stream), hints_of(command.kids)
    effects: Effects = []
    if found is not None and hints != found.hints[command.mid]:
        found.hints[command.mid] = hints
        effects = _resume_video(state, found.subscribers)
    return [*effects, Send(command.connection, m.Ok(re=command.request))]


def handle_unsealed(state: SessionState, command: UnsealedDropped, now_ms: int) -> Effects:
    """The publisher is told that what it sends stays here."""
    found = state.streams.get(command.stream)
    if found is None:
        return []
    found.unsealed_packets += command.packets
    found.unsealed_ms = now_ms
    told = m.NotEncrypted(stream_id=command.stream, mid=command.mid, packets=command.packets)
    return [Send(found.owner, told)]


def _resume_video(state: SessionState, names: Iterable[SubscriberId]) -> Effects:
    """Lifts the mismatch of Subscribers, with one key-frame request for each stream.

    Optimistic: a Subscriber of video alone gets nothing that would show its recovery while it
    is held back. Whoever still can not open it reports a mismatch again.
    """
    effects: Effects = []
    waiting: dict[StreamId, None] = {}
    for name in names:
        found = state.subscribers[name]
        if found.mismatched:
            found.mismatched = False
            if found.wants_video:
                effects.append(ForwardSubscriber(found.owner, name, "video", forwarding=True))
                waiting[found.stream] = None
    return effects + [RequestKeyFrame(state.streams[s].owner, s) for s in waiting]
