"""Messages of RTMP in chunks (Adobe's RTMP 1.0, section 5); pure."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SET_CHUNK_SIZE, ABORT, ACKNOWLEDGEMENT, USER_CONTROL, WINDOW_SIZE, PEER_BANDWIDTH = range(1, 7)
AUDIO, VIDEO, DATA, COMMAND = 8, 9, 18, 20
MAX_MESSAGE_BYTES = 65_536
"""Of a server, to whom only commands are due."""
_MAX_STREAMS = 64
_FIRST_CHUNK_SIZE = 128
_MAX_CHUNK_SIZE = 0xFFFFFF
_EXTENDED = 0xFFFFFF


@dataclass(frozen=True, slots=True)
class Message:
    """`stream`: 0 for what is about the connection."""

    kind: int
    body: bytes
    stream: int = 0
    at_ms: int = 0


def chunks(message: Message, chunk_stream: int, size: int) -> bytes:
    """With the full header, so that nothing depends on what was sent before."""
    at_ms = message.at_ms & 0xFFFFFFFF
    extended = struct.pack(">I", at_ms) if at_ms >= _EXTENDED else b""
    head = bytes([chunk_stream]) + min(at_ms, _EXTENDED).to_bytes(3)
    head += len(message.body).to_bytes(3) + bytes([message.kind])
    found = [head, struct.pack("<I", message.stream), extended, message.body[:size]]
    for at in range(size, len(message.body), size):
        found += [bytes([0xC0 | chunk_stream]), extended, message.body[at : at + size]]
    return b"".join(found)


@dataclass(slots=True)
class _Incoming:
    """What a chunk stream repeats, and the message that it is in the middle of."""

    at_ms: int = 0
    length: int = 0
    kind: int = 0
    stream: int = 0
    extended: bool = False
    body: bytearray | None = None


class ChunkReader:
    """Errors: `ValueError` for what no server sends; the connection must end."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._size = _FIRST_CHUNK_SIZE
        self._streams: dict[int, _Incoming] = {}

    def feed(self, data: bytes) -> Iterator[Message]:
        self._data += data
        while (message := self._next()) is not None:
            if message.kind == SET_CHUNK_SIZE:
                self._set_size(message.body)
            elif message.kind == ABORT and len(message.body) == 4:
                aborted = self._streams.get(int.from_bytes(message.body))
                if aborted is not None:
                    aborted.body = None
            else:
                yield message

    def _set_size(self, body: bytes) -> None:
        size = int.from_bytes(body[:4])
        if not 1 <= size <= _MAX_CHUNK_SIZE:
            raise ValueError("the size of chunks is not possible")
        self._size = size

    def _next(self) -> Message | None:
        """The next complete message."""
        while (taken := self._chunk()) is not None:
            incoming = taken
            if incoming.body is not None and len(incoming.body) == incoming.length:
                body, incoming.body = bytes(incoming.body), None
                return Message(incoming.kind, body, incoming.stream, incoming.at_ms)
        return None

    def _chunk(self) -> _Incoming | None:
        """Takes a chunk if it is there as a whole."""
        data = self._data
        if not data:
            return None
        number, at = data[0] & 0x3F, 1
        if number < 2:
            if len(data) < 2 + number:
                return None
            number, at = (64 + data[1], 2) if not number else (64 + data[1] + 256 * data[2], 3)
        head_bytes = (11, 7, 3, 0)[data[0] >> 6]
        if len(data) < at + head_bytes:
            return None
        before = self._streams.get(number) or _Incoming()
        incoming = _with_head(before, bytes(data[at : at + head_bytes]))
        at += head_bytes
        if incoming.extended:
            if len(data) < at + 4:
                return None
            at += 4  # times of a server do not matter
        left = incoming.length - len(incoming.body or b"")
        take = min(self._size, left)
        if len(data) < at + take:
            return None
        incoming.body = (incoming.body or bytearray()) + data[at : at + take]
        del data[: at + take]
        self._keep(number, incoming)
        return incoming

    def _keep(self, number: int, incoming: _Incoming) -> None:
        if number not in self._streams and len(self._streams) >= _MAX_STREAMS:
            raise ValueError("there are too many chunk streams")
        self._streams[number] = incoming


def _with_head(before: _Incoming, head: bytes) -> _Incoming:
    """What a chunk stream is after this header; `before` stays as it was. A header in the middle of
    a message is refused: its rest would have no length."""
    found = _Incoming(
        before.at_ms, before.length, before.kind, before.stream, before.extended, before.body
    )
    if head and before.body is not None:
        raise ValueError("a message begins within another one")
    if len(head) >= 3:
        found.at_ms = int.from_bytes(head[:3])
        found.extended = found.at_ms == _EXTENDED
    if len(head) >= 7:
        found.length, found.kind = int.from_bytes(head[3:6]), head[6]
    if len(head) == 11:
        found.stream = int.from_bytes(head[7:], "little")
    if found.length > MAX_MESSAGE_BYTES:
        raise ValueError("a message is too long")
    return found
