"""What a welcome tells of grows with its session, and has to fit one message.

Both SDKs take messages of 1 MiB at most, so that no server fills their memory. Thousands of members
with much data of their own, or with long names of streams, would make a welcome that nobody could
take: not who comes next, and nobody who comes back. So whoever would be too much is refused.
"""

import msgspec

from signaling.domain.errors import ErrorCode, error
from signaling.protocol import messages as m

MAX_MESSAGE_BYTES = 1_048_576
_REST_BYTES = 65_536
"""For what does not grow with the session: capabilities, servers of STUN and TURN, framing."""
MAX_TOLD_BYTES = MAX_MESSAGE_BYTES - _REST_BYTES
_HINT_BYTES = 16
"""Beside the name of its connection."""
_CHANGES_BYTES = 160
"""What a stream can still learn: its codecs and dimensions, and that a track is off."""


def of_connection(info: m.ConnectionInfo) -> int:
    # JSON is the larger one of the encodings.
    return len(msgspec.json.encode(info)) + len(info.connection_id) + _HINT_BYTES


def of_stream(info: m.StreamInfo) -> int:
    return len(msgspec.json.encode(info)) + _CHANGES_BYTES


def check(welcome_bytes: int, more: int, code: ErrorCode) -> None:
    """Errors: `code`."""
    if welcome_bytes + more > MAX_TOLD_BYTES:
        raise error(code, "The session has as many members and streams as a client can be told of.")
