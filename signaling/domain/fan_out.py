"""Rate limit for broadcasts: each costs its size times the number of receivers.

A broadcast is charged after it was made and may leave a debt; while there is a debt, the next one
is refused. A single broadcast therefore passes in a session of any size, and a series of them is
held to the rate.
"""

import msgspec

from signaling.domain.effects import Broadcast, Effects
from signaling.domain.errors import ErrorCode, error
from signaling.domain.session_state import Bucket, Limits, SessionState

ENVELOPE_BYTES = 128
"""Added per receiver for member names, ids, framing and kernel buffers."""


def check(bucket: Bucket, limits: Limits, now_ms: int) -> None:
    """Errors: `rate_limited`, while there is a debt."""
    bucket.fill(now_ms, limits.fan_out_bytes_per_s, limits.fan_out_burst)
    if bucket.tokens <= 0:
        raise error(
            ErrorCode.RATE_LIMITED,
            "Too many bytes to too many receivers: send less, or signal a single connection.",
        )


def charge(bucket: Bucket, state: SessionState, effects: Effects, now_ms: int) -> None:
    cost = sum(_cost(state, one) for one in effects if isinstance(one, Broadcast))
    if cost:
        # Refill first, so that time which passed before the charge does not pay for it.
        bucket.fill(now_ms, state.limits.fan_out_bytes_per_s, state.limits.fan_out_burst)
        bucket.tokens = max(bucket.tokens - cost, -state.limits.fan_out_burst)


def _cost(state: SessionState, effect: Broadcast) -> int:
    receivers = len(state.connections) if effect.to is None else len(effect.to)
    # JSON is the larger of the two encodings.
    return receivers * (ENVELOPE_BYTES + len(msgspec.json.encode(effect.message)))
