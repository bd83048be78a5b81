"""Joining, resuming and leaving."""

from sfu.ids import ConnectionId
from signaling.domain import welcome_size
from signaling.domain.announcing import announce, has_announced_connections
from signaling.domain.archive_notices import running_archives
from signaling.domain.commands import FromClient, Join, Leave, Resume, TransportEnded
from signaling.domain.effects import Broadcast, CloseConnection, Effects, Notify, Send
from signaling.domain.errors import ErrorCode, error
from signaling.domain.publishing import end_stream
from signaling.domain.relaying import notify_peer_unsubscribed
from signaling.domain.session_state import Bucket, Connection, SessionState
from signaling.protocol import messages as m

MAX_TOKENS = 10_000
"""Tokens per Session whose joins are counted."""


def handle_join(state: SessionState, command: Join, now_ms: int) -> Effects:
    """Errors: `e2ee_unsupported`, `connection_limit`, `rate_limited`."""
    if state.e2ee and m.E2EE_FORMAT not in command.e2ee_formats:
        raise error(ErrorCode.E2EE_UNSUPPORTED)
    if len(state.connections) >= state.limits.connections:
        raise error(ErrorCode.CONNECTION_LIMIT)
    info = m.ConnectionInfo(
        connection_id=command.connection, creation_time=command.now_unix_ms, data=command.data
    )
    joining = Connection(
        info,
        command.capabilities,
        command.codecs,
        requests=Bucket(float(state.limits.message_burst), now_ms),
        fan_out=Bucket(float(state.limits.fan_out_burst), now_ms),
        hints_seen=state.hints_announced,
    )
    welcome_size.check(
        state.welcome_bytes, welcome_size.of_connection(info), ErrorCode.CONNECTION_LIMIT
    )
    _take_join(state, command.token, now_ms)
    state.add_connection(joining)
    state.layout_classes[command.connection] = command.layout_classes
    welcomed = Send(command.connection, welcome(state, command, resumed=False))
    announced = [] if command.quietly else announce(state, command.connection)
    return [welcomed, *running_archives(state, command.connection), *announced]


def _take_join(state: SessionState, token: bytes, now_ms: int) -> None:
    if token:
        _take_join_of_token(state, token, now_ms)
    per_s = state.limits.joins_per_s
    burst = max(1.0, per_s)
    if state.joins is None:
        state.joins = Bucket(burst, now_ms)
    state.joins.take(now_ms, per_s, burst)


def _take_join_of_token(state: SessionState, token: bytes, now_ms: int) -> None:
    burst = float(state.limits.joins_per_token_per_min)
    per_s = burst / 60
    known = state.joins_by_token
    if token not in known and len(known) >= MAX_TOKENS:
        # A bucket not used for a minute is full again.
        recent = {t: b for t, b in known.items() if now_ms - b.filled_ms < 60_000}
        known.clear()
        known.update(recent if len(recent) < MAX_TOKENS else {})
    known.setdefault(token, Bucket(burst, now_ms)).take(now_ms, per_s, burst)


def handle_resume(state: SessionState, command: Resume, now_ms: int) -> Effects:
    del now_ms
    if command.connection not in state.connections:
        raise error(ErrorCode.NOT_CONNECTED)
    state.connections[command.connection].hints_seen = state.hints_announced
    return [Send(command.connection, welcome(state, command, resumed=True))]


def welcome(state: SessionState, command: Join | Resume, *, resumed: bool) -> m.Welcome:
    connection = state.connections[command.connection]
    allowed = connection.capabilities
    return m.Welcome(
        re=command.request,
        connection=connection.info,
        session=m.SessionInfo(
            session_id=state.record.session_id,
            e2ee=state.e2ee,
            media_mode=state.record.options.media_mode.value,
        ),
        capabilities=m.Capabilities(
            publish=int(allowed.publish),
            subscribe=int(allowed.subscribe),
            signal=int(allowed.signal),
            force_unpublish=int(allowed.force_unpublish),
            force_disconnect=int(allowed.force_disconnect),
            force_mute=int(allowed.force_mute),
        ),
        connections=tuple(
            other.info
            for other in state.connections.values()
            if other.announced or other is connection
        ),
        streams=tuple(s.info for s in state.streams.values() if s.live),
        resume=command.resume,
        resumed=resumed,
        keep_alive_ms=state.limits.keep_alive_ms,
        grace_ms=state.limits.grace_ms,
        ice_servers=command.ice_servers,
        hints={c: o.hint for c, o in state.connections.items() if o.hint is not None},
        mute_forced=state.mute_forced,
        last_request=command.last_request if isinstance(command, Resume) else None,
    )


def handle_leave(state: SessionState, command: Leave, now_ms: int) -> Effects:
    del now_ms
    return leave(state, command.connection, command.reason)


def handle_bye(state: SessionState, command: FromClient[m.Bye], now_ms: int) -> Effects:
    del now_ms
    ok = Send(command.connection, m.Ok(re=command.message.id))
    return [ok, *leave(state, command.connection, "clientDisconnected")]


def handle_ping(state: SessionState, command: FromClient[m.Ping], now_ms: int) -> Effects:
    del state, now_ms
    return [Send(command.connection, m.Pong(re=command.message.id))]


def leave(state: SessionState, connection: ConnectionId, reason: m.LeaveReason) -> Effects:
    """Ends the connection and everything it owns; other clients see its streams end first."""
    leaving = state.connections.get(connection)
    if leaving is None:
        return []
    effects: Effects = []
    for stream in list(leaving.streams):
        effects += end_stream(state, stream, reason)
    for name in list(leaving.subscribers):
        effects += notify_peer_unsubscribed(state, name)
        state.drop_subscriber(name)
    state.drop_connection(connection)
    effects.append(CloseConnection(connection, reason))
    if not leaving.announced:
        return effects
    return [
        *effects,
        Broadcast(m.ConnectionDestroyed(connection_id=connection, reason=reason)),
        Notify("connectionDestroyed", connection, reason, connection=leaving.info),
        *(
            []
            if has_announced_connections(state)
            else [Notify("sessionDestroyed", state.record.session_id)]
        ),
    ]


def handle_transport_ended(state: SessionState, command: TransportEnded, now_ms: int) -> Effects:
    del now_ms
    connection = state.connections.get(command.connection)
    if connection is None:
        return []
    effects: Effects = [Send(command.connection, m.TransportLost(direction=command.direction))]
    if command.direction == "uplink":
        for stream in list(connection.streams):
            effects += end_stream(state, stream, "networkDisconnected")
        return effects
    for name in list(connection.subscribers):
        state.drop_subscriber(name)
    return effects
