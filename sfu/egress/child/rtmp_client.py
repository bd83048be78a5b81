"""Publishes a stream to an RTMP server (Adobe's RTMP 1.0): bytes in, bytes out; pure.

FFmpeg's client resolves names and connects by itself, so addresses could not be checked when it
connects; and it waits for a server that has stopped reading for as long as the kernel does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from sfu.egress.child import flv, rtmp_chunks
from sfu.egress.child.amf import Value, decoded, encoded
from sfu.egress.child.rtmp_chunks import ChunkReader, Message, chunks
from sfu.egress.child.tracks import Packet, Tracks

CHUNK_SIZE = 4_096
_HANDSHAKE_BYTES = 1_536
_VERSION = b"\x03"
_CONTROL, _COMMANDS, _AUDIO, _VIDEO = 2, 3, 4, 6
"""Chunk streams: any numbers, as long as messages on one of them do not mix."""
_CONNECT, _CREATE_STREAM = 1, 4
_FLASH = "FMLE/3.0 (compatible; Sealroute)"
"""Servers know encoders by how this begins."""
_PING_REQUEST, _PING_ANSWER = 6, 7


class RtmpError(Exception):
    """The server refused, or is no RTMP server. The text names neither address nor stream."""


class Phase(Enum):
    HANDSHAKE = "handshake"
    CONNECTING = "connecting"
    CREATING = "creating"
    PUBLISHING = "publishing"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class RtmpAddress:
    """`app` is the path with its query; `key` a secret."""

    tc_url: str
    app: str
    key: str

    def __repr__(self) -> str:
        return "RtmpAddress(redacted)"


class RtmpClient:
    """`take` gives what has to be sent; `handle` takes what was received."""

    def __init__(self, address: RtmpAddress, tracks: Tracks, random_bytes: bytes) -> None:
        """`random_bytes`: 1,528 of them, for the handshake."""
        self._address = address
        self._tracks = tracks
        self._phase = Phase.HANDSHAKE
        self._out = bytearray()
        self._handshake = bytearray()
        self._reader = ChunkReader()
        self._stream = 0
        self._received = self._acknowledged = 0
        self._window: int | None = None
        self._first_us: int | None = None
        self._own = bytes(8) + random_bytes
        self._out += _VERSION + self._own

    @property
    def is_live(self) -> bool:
        return self._phase is Phase.LIVE

    def take(self) -> bytes:
        found = bytes(self._out)
        self._out.clear()
        return found

    def handle(self, data: bytes) -> None:
        """Errors: `RtmpError`."""
        try:
            if self._phase is Phase.HANDSHAKE:
                data = self._shake_hands(data)
            self._received += len(data)
            for message in self._reader.feed(data):
                self._handle(message)
        except ValueError as cause:
            raise RtmpError(f"The server does not speak RTMP: {cause}.") from cause
        if self._window is not None and self._received - self._acknowledged >= self._window // 2:
            self._acknowledged = self._received
            body = (self._received & 0xFFFFFFFF).to_bytes(4)
            self._send(Message(rtmp_chunks.ACKNOWLEDGEMENT, body), _CONTROL)

    def publish(self, packet: Packet) -> None:
        """Only while it is live. The first packet is at 0, whatever its own time is."""
        at_us = self._tracks.microseconds(packet)
        if self._first_us is None:
            self._first_us = at_us
        at_ms = max(0, at_us - self._first_us) // 1000
        kind, chunk_stream = (
            (rtmp_chunks.VIDEO, _VIDEO) if packet.kind == "video" else (rtmp_chunks.AUDIO, _AUDIO)
        )
        self._send(Message(kind, flv.frame(packet), self._stream, at_ms), chunk_stream)

    def end(self) -> None:
        """Says goodbye; nothing is expected in answer."""
        if self._stream:
            self._command("FCUnpublish", 6, None, self._address.key)
            self._command("deleteStream", 7, None, float(self._stream))

    # --- the handshake: what the server sends in it is not checked by anybody -------------------

    def _shake_hands(self, data: bytes) -> bytes:
        self._handshake += data
        if self._handshake[:1] not in (b"", _VERSION):
            raise RtmpError("The server does not speak RTMP: another version.")
        if len(self._handshake) < 1 + 2 * _HANDSHAKE_BYTES:
            return b""
        rest = bytes(self._handshake[1 + 2 * _HANDSHAKE_BYTES :])
        self._out += self._handshake[1 : 1 + _HANDSHAKE_BYTES]
        self._handshake.clear()
        self._phase = Phase.CONNECTING
        size = CHUNK_SIZE.to_bytes(4)
        self._out += chunks(Message(rtmp_chunks.SET_CHUNK_SIZE, size), _CONTROL, CHUNK_SIZE)
        self._command("connect", _CONNECT, self._connect_object())
        return rest

    def _connect_object(self) -> Mapping[str, Value]:
        return {
            "app": self._address.app,
            "type": "nonprivate",
            "flashVer": _FLASH,
            "swfUrl": self._address.tc_url,
            "tcUrl": self._address.tc_url,
        }

    # --- messages -------------------------------------------------------------------------------

    def _handle(self, message: Message) -> None:
        match message.kind:
            case rtmp_chunks.WINDOW_SIZE if len(message.body) == 4:
                self._window = int.from_bytes(message.body)
            case rtmp_chunks.USER_CONTROL if message.body[:2] == _PING_REQUEST.to_bytes(2):
                pong = _PING_ANSWER.to_bytes(2) + message.body[2:6]
                self._send(Message(rtmp_chunks.USER_CONTROL, pong), _CONTROL)
            case rtmp_chunks.COMMAND:
                self._handle_command(decoded(message.body))

    def _handle_command(self, values: list[Value]) -> None:
        if len(values) < 2:
            raise ValueError("a command without a number")
        name, number, *rest = values
        handler = _HANDLERS.get(name) if isinstance(name, str) else None
        if handler is not None:
            handler(self, number, rest)

    def _on_result(self, number: Value, rest: list[Value]) -> None:
        if self._phase is Phase.CONNECTING and number == _CONNECT:
            self._phase = Phase.CREATING
            self._command("releaseStream", 2, None, self._address.key)
            self._command("FCPublish", 3, None, self._address.key)
            self._command("createStream", _CREATE_STREAM, None)
        elif self._phase is Phase.CREATING and number == _CREATE_STREAM:
            stream = rest[-1] if rest else None
            if not isinstance(stream, float) or not 1 <= stream < 2**31:
                raise ValueError("a stream without a number")
            self._stream = int(stream)
            self._phase = Phase.PUBLISHING
            body = encoded("publish", 5.0, None, self._address.key, "live")
            self._send(Message(rtmp_chunks.COMMAND, body, self._stream), _AUDIO)

    def _on_error(self, number: Value, rest: list[Value]) -> None:
        # Some servers refuse `releaseStream` and `FCPublish`, which no specification has.
        if number in (_CONNECT, _CREATE_STREAM):
            raise RtmpError(f"The server refused: {_code_of(rest)}.")

    def _on_status(self, number: Value, rest: list[Value]) -> None:
        del number
        details = rest[-1] if rest and isinstance(rest[-1], Mapping) else {}
        code = _code_of(rest)
        if details.get("level") == "error" or code in _ENDINGS:
            raise RtmpError(f"The server ended the stream: {code}.")
        if self._phase is Phase.PUBLISHING and code == "NetStream.Publish.Start":
            self._begin()

    def _begin(self) -> None:
        self._phase = Phase.LIVE
        body = flv.metadata(self._tracks)
        self._send(Message(rtmp_chunks.DATA, body, self._stream), _AUDIO)
        if self._tracks.video is not None:
            body = flv.video_header(self._tracks.video)
            self._send(Message(rtmp_chunks.VIDEO, body, self._stream), _VIDEO)
        if self._tracks.audio is not None:
            body = flv.audio_header(self._tracks.audio)
            self._send(Message(rtmp_chunks.AUDIO, body, self._stream), _AUDIO)

    def _command(self, name: str, number: int, *values: Value) -> None:
        self._send(Message(rtmp_chunks.COMMAND, encoded(name, float(number), *values)), _COMMANDS)

    def _send(self, message: Message, chunk_stream: int) -> None:
        self._out += chunks(message, chunk_stream, CHUNK_SIZE)


_ENDINGS = frozenset({"NetStream.Unpublish.Success", "NetConnection.Connect.Closed"})
_HANDLERS: Mapping[str, Callable[[RtmpClient, Value, list[Value]], None]] = {
    "_result": RtmpClient._on_result,  # noqa: SLF001 - the table of this class
    "_error": RtmpClient._on_error,  # noqa: SLF001
    "onStatus": RtmpClient._on_status,  # noqa: SLF001
}
_CODE_CHARS = 64


def _code_of(rest: list[Value]) -> str:
    """The name of what happened; a description may repeat the name of the stream."""
    details = rest[-1] if rest else None
    code = details.get("code") if isinstance(details, Mapping) else None
    if not isinstance(code, str) or not code.replace(".", "").isalnum() or not code.isascii():
        return "unknown"
    return code[:_CODE_CHARS]
