"""The outgoing side of a client's WebSocket, as the owner of a Session sees it."""

from collections.abc import Sequence
from typing import Protocol

from signaling.protocol import messages as m
from signaling.protocol.codec import Encoding, encode

MOVED = "homeMoved"
"""A reason to close that no client is told: its session lives at another node from now on, and it
finds that when it comes back."""


class EncodedMessage:
    """A message to clients, encoded once per encoding for any number of receivers."""

    def __init__(self, message: m.Message) -> None:
        self.message = message
        self._encoded: dict[Encoding, bytes] = {}
        self._framed: dict[Encoding, bytes] = {}

    def encoded(self, encoding: Encoding) -> bytes:
        data = self._encoded.get(encoding)
        if data is None:
            data = self._encoded[encoding] = encode(self.message, encoding)  # type: ignore[arg-type]
        return data

    def framed(self, encoding: Encoding) -> bytes:
        """The message as one WebSocket frame, in bytes that all receivers share."""
        frame = self._framed.get(encoding)
        if frame is None:
            data = self.encoded(encoding)
            frame = frame_header(_FIRST_BYTES[encoding], len(data)) + data
            self._framed[encoding] = frame
        return frame


class EncodedBatch:
    """Several messages to clients, whose frames are joined once for any number of receivers."""

    def __init__(self, messages: Sequence[EncodedMessage]) -> None:
        self.messages = tuple(messages)
        self._framed: dict[Encoding, bytes] = {}

    def framed(self, encoding: Encoding) -> bytes:
        frames = self._framed.get(encoding)
        if frames is None:
            frames = b"".join(one.framed(encoding) for one in self.messages)
            self._framed[encoding] = frames
        return frames


_FIRST_BYTES = {Encoding.JSON: 0x81, Encoding.MSGPACK: 0x82}
"""A complete text or binary message (RFC 6455 section 5.2); servers do not mask frames."""
_SHORT_BYTES, _MEDIUM_BYTES = 125, 0xFFFF


def frame_header(first_byte: int, length: int) -> bytes:
    if length <= _SHORT_BYTES:
        return bytes((first_byte, length))
    if length <= _MEDIUM_BYTES:
        return bytes((first_byte, 126)) + length.to_bytes(2)
    return bytes((first_byte, 127)) + length.to_bytes(8)


class MessageSink(Protocol):
    """A client's WebSocket. No call blocks."""

    def send(self, outgoing: EncodedMessage) -> None: ...
    def send_batch(self, batch: EncodedBatch) -> None: ...
    def close(self, reason: str) -> None:
        """Sends `Disconnected` with the reason after all earlier messages, then closes; `MOVED`
        closes without a word."""
