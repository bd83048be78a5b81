"""Bytes ↔ messages of a link: msgpack within limits that are checked before anything is made."""

from functools import reduce
from operator import or_
from typing import Any, Final

import msgspec

from signaling.domain.errors import ErrorCode, PeerProtocolError
from signaling.links.messages import FROM_GATE, FROM_HOME, MAX_RECEIVERS, LinkMessage
from signaling.protocol.counting import CONTAINER_VALUES, TooManyError, check_msgpack

MAX_ENVELOPE_BYTES = 1_048_576
MAX_VALUES = MAX_RECEIVERS + 8 * CONTAINER_VALUES + 64
"""The largest message is a `deliver` to all receivers that one may have."""
MAX_DEPTH = 4

_ENCODER: Final = msgspec.msgpack.Encoder()


class Reader:
    """Reads what one end of a link may say."""

    def __init__(self, kinds: tuple[type[LinkMessage], ...]) -> None:
        union: Any = reduce(or_, kinds)
        self._decoder = msgspec.msgpack.Decoder(union)

    def read(self, data: bytes) -> LinkMessage:
        """Errors: `message_too_large`, `invalid_message`."""
        if len(data) > MAX_ENVELOPE_BYTES:
            raise PeerProtocolError(ErrorCode.MESSAGE_TOO_LARGE)
        try:
            check_msgpack(data, MAX_VALUES, MAX_DEPTH)
            message: LinkMessage = self._decoder.decode(data)
        except (TooManyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise PeerProtocolError(
                ErrorCode.INVALID_MESSAGE, "The message of a link is not valid."
            ) from None
        return message


GATE_READER: Final = Reader(FROM_GATE)
"""What a home reads."""
HOME_READER: Final = Reader(FROM_HOME)
"""What a gate reads."""


def write(message: LinkMessage) -> bytes:
    return _ENCODER.encode(message)
