"""What moderators and the REST API may do to others."""

from collections.abc import Collection

from sfu.ids import ConnectionId, StreamId
from signaling.domain.commands import (
    FromClient,
    RestForceDisconnect,
    RestMuteAll,
    RestMuteStream,
    SetLayoutClasses,
)
from signaling.domain.effects import Broadcast, Effects, Send
from signaling.domain.errors import ErrorCode, error
from signaling.domain.membership import leave
from signaling.domain.publishing import end_stream, mute
from signaling.domain.session_state import SessionState
from signaling.protocol import messages as m


def handle_client(state: SessionState, command: FromClient, now_ms: int) -> Effects:
    """Errors: `permission_denied`, `connection_not_found`, `stream_not_found`."""
    del now_ms
    request, allowed = command.message, state.members[command.connection].capabilities
    if isinstance(request, m.ForceDisconnect):
        _need(allowed.force_disconnect)
        effects = _disconnect(state, ConnectionId(request.connection_id))
    elif isinstance(request, m.ForceUnpublish):
        _need(allowed.force_unpublish)
        state.stream(request.stream_id)
        effects = end_stream(state, StreamId(request.stream_id), "forceUnpublished")
    elif isinstance(request, m.ForceMuteStream):
        _need(allowed.force_mute)
        effects = mute(state.stream(request.stream_id))
    elif isinstance(request, m.ForceMuteAll):
        _need(allowed.force_mute)
        effects = _mute_all(state, request.excluded_stream_ids, active=request.active)
    else:
        raise error(ErrorCode.INVALID_MESSAGE)
    return [*effects, Send(command.connection, m.Ok(re=request.id))]


def _need(allowed: bool) -> None:
    if not allowed:
        raise error(ErrorCode.PERMISSION_DENIED)


def _disconnect(state: SessionState, connection: ConnectionId) -> Effects:
    if connection not in state.members:
        raise error(ErrorCode.CONNECTION_NOT_FOUND)
    return leave(state, connection, "forceDisconnected")


def _mute_all(state: SessionState, excluded: Collection[str], *, active: bool) -> Effects:
    state.mute_forced = active
    effects: Effects = [Broadcast(m.MuteForced(active=active))]
    if active:
        for name, found in state.streams.items():
            if name not in excluded and found.live:
                effects += mute(found)
    return effects


def handle_disconnect(state: SessionState, command: RestForceDisconnect, now_ms: int) -> Effects:
    del now_ms
    return _disconnect(state, command.connection)


def handle_mute_stream(state: SessionState, command: RestMuteStream, now_ms: int) -> Effects:
    del now_ms
    return mute(state.stream(command.stream))


def handle_mute_all(state: SessionState, command: RestMuteAll, now_ms: int) -> Effects:
    del now_ms
    return _mute_all(state, command.excluded, active=command.active)


def handle_layout(state: SessionState, command: SetLayoutClasses, now_ms: int) -> Effects:
    del now_ms
    found = [(state.stream(name), classes) for name, classes in command.classes]
    for stream, classes in found:
        stream.layout_classes = classes
    return []
