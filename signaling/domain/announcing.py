"""When others hear of a connection: at its join, or once its media stands.

A client that speaks HTTP joins for one stream. If the media refuses that, it is gone before anybody
heard of it: neither the others nor the application are to see somebody come and go.
"""

from sfu.ids import ConnectionId
from signaling.domain.commands import Announce
from signaling.domain.effects import Broadcast, Effects, Notify
from signaling.domain.session_state import SessionState
from signaling.protocol import messages as m


def handle_announce(state: SessionState, command: Announce, now_ms: int) -> Effects:
    del now_ms
    return announce(state, command.connection)


def announce(state: SessionState, name: ConnectionId) -> Effects:
    """Nothing for who is known already, or gone."""
    found = state.connections.get(name)
    if found is None or found.announced:
        return []
    is_first = not somebody_is_known(state)
    found.announced = True
    return [
        Broadcast(m.ConnectionCreated(connection=found.info), but=name),
        *([Notify("sessionCreated", state.record.session_id)] if is_first else []),
        Notify("connectionCreated", name, connection=found.info),
    ]


def somebody_is_known(state: SessionState) -> bool:
    return any(one.announced for one in state.connections.values())
