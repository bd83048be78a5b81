"""What a message costs on its way to others: its size, once for each receiver.

A broadcast is charged after it was made, and may leave a debt; with a debt the next one is refused.
So one broadcast passes whatever its session's size, and a stream of them keeps to the rate.
"""

from signaling.domain.effects import Broadcast, Effects
from signaling.domain.errors import ErrorCode, error
from signaling.domain.session_state import Bucket, Limits, SessionState
from signaling.protocol import messages as m

ENVELOPE_BYTES = 128
"""Of any message: names of members, ids and framing, and what the kernel keeps beside them."""


def check(bucket: Bucket, limits: Limits, now_ms: int) -> None:
    """Errors: `rate_limited`, while there is a debt."""
    bucket.fill(now_ms, limits.fan_out_bytes_per_s, limits.fan_out_burst)
    if bucket.tokens <= 0:
        raise error(
            ErrorCode.RATE_LIMITED,
            "Too many bytes to too many receivers; send less, or address one connection.",
        )


def charge(bucket: Bucket, state: SessionState, effects: Effects) -> None:
    cost = sum(_cost(state, one) for one in effects if isinstance(one, Broadcast))
    bucket.tokens = max(bucket.tokens - cost, -state.limits.fan_out_burst)


def _cost(state: SessionState, effect: Broadcast) -> int:
    receivers = len(state.members) if effect.to is None else len(effect.to)
    return receivers * (ENVELOPE_BYTES + _content_bytes(effect.message))


def _content_bytes(message: m.Message) -> int:
    if isinstance(message, m.SignalReceived):
        return sum(len(part or "") for part in (message.type, message.data, message.sealed))
    if isinstance(message, m.StreamCreated):
        return len(message.stream.name)
    return 0
