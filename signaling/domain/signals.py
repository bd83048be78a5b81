"""Signals: messages of the application."""

import re

from sfu.ids import ConnectionId
from signaling.domain import fan_out
from signaling.domain.commands import FromClient, RestSignal
from signaling.domain.effects import Broadcast, Effects, Send
from signaling.domain.errors import ErrorCode, error
from signaling.domain.session_state import Bucket, SessionState
from signaling.protocol import messages as m

MAX_TYPE_BYTES = 128
MAX_DATA_BYTES = 8_192
MAX_ENCRYPTED_BYTES = MAX_DATA_BYTES + 256
_TYPE = re.compile(r"[A-Za-z0-9_~-]*")


def check_signal(kind: str | None, data: str | None) -> None:
    if len((kind or "").encode()) > MAX_TYPE_BYTES or len((data or "").encode()) > MAX_DATA_BYTES:
        raise error(ErrorCode.SIGNAL_TOO_LONG)
    if _TYPE.fullmatch(kind or "") is None:
        raise error(ErrorCode.INVALID_PARAMETER)


def handle_signal(state: SessionState, command: FromClient[m.Signal], now_ms: int) -> Effects:
    """Errors: `signal_not_encrypted`, `signal_too_long`, `invalid_parameter`,
    `connection_not_found`."""
    del now_ms
    request = command.message
    check_signal(request.type, request.data)
    if state.e2ee and request.encrypted is None:
        # Without encryption nothing would prove that the signal comes from its sender.
        raise error(ErrorCode.SIGNAL_NOT_ENCRYPTED)
    if request.encrypted is not None:
        if not state.e2ee or request.data is not None:
            raise error(ErrorCode.INVALID_PARAMETER)
        if len(request.encrypted) > MAX_ENCRYPTED_BYTES:
            raise error(ErrorCode.SIGNAL_TOO_LONG)
    data = "" if request.data is None and request.encrypted is None else request.data
    received = m.SignalReceived(
        from_=command.connection, type=request.type, data=data, encrypted=request.encrypted
    )
    ok = Send(command.connection, m.Ok(re=request.id))
    return [*_deliver(state, received, request.to), ok]


def handle_rest_signal(state: SessionState, command: RestSignal, now_ms: int) -> Effects:
    """Errors: `signal_too_long`, `invalid_parameter`, `connection_not_found`, `rate_limited`."""
    check_signal(command.type, command.data)
    limits = state.limits
    if state.rest_fan_out is None:
        state.rest_fan_out = Bucket(float(limits.fan_out_burst), now_ms)
    fan_out.check(state.rest_fan_out, limits, now_ms)
    received = m.SignalReceived(type=command.type, data=command.data)
    effects = _deliver(state, received, command.to)
    fan_out.charge(state.rest_fan_out, state, effects, now_ms)
    return effects


def _deliver(state: SessionState, received: m.SignalReceived, to: str | None) -> Effects:
    if to is None:
        return [Broadcast(received)]
    if to not in state.connections:
        raise error(ErrorCode.CONNECTION_NOT_FOUND)
    return [Send(ConnectionId(to), received)]
