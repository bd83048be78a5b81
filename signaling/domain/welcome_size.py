"""A `Welcome` grows with its session but must fit into one message.

Both SDKs accept messages of 1 MiB at most, so that no server can fill their memory. Thousands of
connections with large connection data or long stream names would make a `Welcome` that no client
could accept, neither a joining nor a resuming one. So a connection or stream that would exceed the
limit is refused.
"""

import msgspec

from signaling.domain.errors import ErrorCode, error
from signaling.protocol import messages as m

MAX_MESSAGE_BYTES = 1_048_576
_REST_BYTES = 65_536
"""For parts that do not grow with the session: capabilities, STUN and TURN servers, framing."""
MAX_WELCOME_BYTES = MAX_MESSAGE_BYTES - _REST_BYTES
_HINT_BYTES = 16
"""In addition to the id of its connection."""
_CHANGES_BYTES = 160
"""For later changes of a stream: its codecs, dimensions and disabled tracks."""


def of_connection(info: m.ConnectionInfo) -> int:
    # JSON is the larger of the two encodings.
    return len(msgspec.json.encode(info)) + len(info.connection_id) + _HINT_BYTES


def of_stream(info: m.StreamInfo) -> int:
    return len(msgspec.json.encode(info)) + _CHANGES_BYTES


def check(welcome_bytes: int, more: int, code: ErrorCode) -> None:
    """Errors: `code`."""
    if welcome_bytes + more > MAX_WELCOME_BYTES:
        raise error(code, "The session has reached the size that a client can receive.")
