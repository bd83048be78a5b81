"""When a connection is announced: at its join, or when the media plane has accepted its stream.

A client that uses HTTP joins for one stream. If the media plane refuses that stream, the connection
ends unannounced: neither the other clients nor the application see it come and go.
"""

from collections.abc import Collection

from sfu.ids import ConnectionId
from signaling.domain.commands import Announce
from signaling.domain.effects import Broadcast, Effects, Notify
from signaling.domain.session_state import SessionState
from signaling.protocol import messages as m


def handle_announce(state: SessionState, command: Announce, now_ms: int) -> Effects:
    del now_ms
    return announce(state, command.connection)


def announce(state: SessionState, name: ConnectionId) -> Effects:
    """Announces a connection; no effects if it was announced already or has ended."""
    found = state.connections.get(name)
    if found is None or found.announced:
        return []
    is_first = not has_announced_connections(state)
    found.announced = True
    return [
        Broadcast(m.ConnectionCreated(connection=found.info), but=name),
        *([Notify("sessionCreated", state.record.session_id)] if is_first else []),
        Notify("connectionCreated", name, connection=found.info),
    ]


def has_announced_connections(
    state: SessionState, but: Collection[ConnectionId] = frozenset()
) -> bool:
    """`but`: those that do not count, such as what records the others."""
    return any(one.announced for name, one in state.connections.items() if name not in but)
