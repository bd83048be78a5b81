"""Moderation by clients and by the REST API.

`session.REQUESTS` names the capability that each client request needs.
"""

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


def handle_force_disconnect(
    state: SessionState, command: FromClient[m.ForceDisconnect], now_ms: int
) -> Effects:
    """Errors: `connection_not_found`."""
    del now_ms
    effects = _disconnect(state, ConnectionId(command.message.connection_id))
    return [*effects, _ok(command)]


def handle_force_unpublish(
    state: SessionState, command: FromClient[m.ForceUnpublish], now_ms: int
) -> Effects:
    """Errors: `stream_not_found`."""
    del now_ms
    name = command.message.stream_id
    state.live_stream(name)
    return [*end_stream(state, StreamId(name), "forceUnpublished"), _ok(command)]


def handle_force_mute_stream(
    state: SessionState, command: FromClient[m.ForceMuteStream], now_ms: int
) -> Effects:
    """Errors: `stream_not_found`."""
    del now_ms
    return [*mute(state.live_stream(command.message.stream_id)), _ok(command)]


def handle_force_mute_all(
    state: SessionState, command: FromClient[m.ForceMuteAll], now_ms: int
) -> Effects:
    """Also mutes the moderator's own streams, unless it excludes them."""
    del now_ms
    request = command.message
    return [*_mute_all(state, request.excluded_stream_ids, active=request.active), _ok(command)]


def _ok(command: FromClient[m.Request]) -> Send:
    return Send(command.connection, m.Ok(re=command.message.id))


def _disconnect(state: SessionState, connection: ConnectionId) -> Effects:
    if connection not in state.connections:
        raise error(ErrorCode.CONNECTION_NOT_FOUND)
    return leave(state, connection, "forceDisconnected")


def _mute_all(state: SessionState, excluded: Collection[str], *, active: bool) -> Effects:
    state.mute_forced = active
    effects: Effects = [Broadcast(m.MuteForced(active=active))]
    spared = frozenset(excluded)
    if active:
        for name, found in state.streams.items():
            if name not in spared and found.live:
                effects += mute(found)
    return effects


def handle_disconnect(state: SessionState, command: RestForceDisconnect, now_ms: int) -> Effects:
    del now_ms
    return _disconnect(state, command.connection)


def handle_mute_stream(state: SessionState, command: RestMuteStream, now_ms: int) -> Effects:
    del now_ms
    return mute(state.live_stream(command.stream))


def handle_mute_all(state: SessionState, command: RestMuteAll, now_ms: int) -> Effects:
    del now_ms
    return _mute_all(state, command.excluded, active=command.active)


def handle_layout(state: SessionState, command: SetLayoutClasses, now_ms: int) -> Effects:
    del now_ms
    found = [(state.live_stream(name), classes) for name, classes in command.classes]
    for stream, classes in found:
        stream.layout_classes = classes
    return []
