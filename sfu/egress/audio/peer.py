"""The WebSocket of an Audio Connector over a socket that the server has connected; nothing waits.

The protocol is that of the package websockets, without its I/O. Compression is not offered: audio
does not become smaller, and it costs memory.
"""

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.uri import WebSocketURI

from sfu.egress.audio.tls import Tls

MAX_MESSAGE_BYTES = 4 << 20
"""A minute of audio at 24 kHz in base64 is 3.8 MB."""
_CHUNK_BYTES = 65_536
MAX_QUEUED_BYTES = 131_072
"""Two seconds of audio. What a peer does not read in time is old then, and left out."""
_SEND_BUFFER_BYTES = 65_536
PING_US = 10_000_000
SILENCE_US = 25_000_000
"""Without a byte of the peer, which answers pings."""
GOODBYE_S = 0.2
_GOODBYE_CHUNKS = 16
"""A peer that goes on to talk is not listened to for ever."""
_NORMAL = CloseCode.NORMAL_CLOSURE


@dataclass(frozen=True, slots=True)
class Target:
    """`headers` are those of the upgrade request beside the protocol's own."""

    host: str
    port: int
    resource: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)


class Peer:
    """`state`: connecting, open, or why it ended: refused (no WebSocket), closed (the peer said
    that it is done), lost."""

    def __init__(
        self,
        connection: socket.socket,
        target: Target,
        tls: ssl.SSLContext | None,
        now_us: int,
    ) -> None:
        self.state: Literal["connecting", "open", "refused", "closed", "lost"] = "connecting"
        self.left_out = 0
        self._socket = connection
        self._socket.setblocking(False)
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        path, _, query = target.resource.partition("?")
        uri = WebSocketURI(tls is not None, target.host, target.port, path, query)
        self._protocol = ClientProtocol(uri, max_size=MAX_MESSAGE_BYTES)
        self._tls = None if tls is None else Tls(tls, target.host)
        self._queue = bytearray()
        self._parts: list[bytes] = []
        self._is_text = False
        self._heard_us = self._pinged_us = now_us
        request = self._protocol.connect()
        for name, value in target.headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        self._collect()

    @property
    def is_over(self) -> bool:
        return self.state not in ("connecting", "open")

    @property
    def wants_to_write(self) -> bool:
        return bool(self._queue)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: str | bytes, *, must_arrive: bool = False) -> None:
        """Audio is left out while much of it waits; the answers to requests are not."""
        if self.state != "open":
            return
        if not must_arrive and len(self._queue) > MAX_QUEUED_BYTES:
            self.left_out += 1
            return
        with suppress(WebSocketException):
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
        self._collect()

    def write(self) -> None:
        """As much as the kernel takes."""
        try:
            while self._queue:
                sent = self._socket.send(self._queue[:_CHUNK_BYTES])
                del self._queue[:sent]
        except (BlockingIOError, InterruptedError):
            if len(self._queue) > MAX_MESSAGE_BYTES:
                self.state = "lost"  # it asks, and does not read the answers
        except OSError:
            self._end("lost")

    def read(self, now_us: int) -> list[str | bytes]:
        """The messages that came."""
        try:
            chunk = self._socket.recv(_CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            self._end("lost")
            return []
        self._heard_us = now_us
        try:
            plain = chunk if self._tls is None else self._tls.read(chunk)
        except ssl.SSLError:
            self._end("refused" if self.state == "connecting" else "lost")
            return []
        if plain:
            self._protocol.receive_data(plain)
        if not chunk:
            self._protocol.receive_eof()
        found = self._events()
        self._collect()
        self._note_end()
        return found

    def handle_time(self, now_us: int) -> None:
        """Pings, and notices a peer that is gone without a word."""
        if self.state != "open":
            return
        if now_us - self._heard_us > SILENCE_US:
            self._end("lost")
        elif now_us - self._pinged_us > PING_US:
            self._pinged_us = now_us
            self._protocol.send_ping(b"")
            self._collect()

    def close(self) -> None:
        """Says goodbye, and waits a moment for the peer to read it: a socket that is closed while
        something is unread takes back what was said last."""
        with suppress(WebSocketException):
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
        self._collect()
        self.write()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(GOODBYE_S)
            for _ in range(_GOODBYE_CHUNKS):
                if not self._socket.recv(_CHUNK_BYTES):
                    break
        self._socket.close()

    def _events(self) -> list[str | bytes]:
        messages: list[str | bytes] = []
        for event in self._protocol.events_received():
            if not isinstance(event, Frame):
                if self._protocol.handshake_exc is None:
                    self.state = "open"
            elif (message := self._message(event)) is not None:
                messages.append(message)
        return messages

    def _message(self, frame: Frame) -> str | bytes | None:
        """The message that a frame completes."""
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._parts, self._is_text = [], frame.opcode is Opcode.TEXT
        elif frame.opcode is not Opcode.CONT:
            return None
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return None
        whole, self._parts = b"".join(self._parts), []
        return whole.decode("utf-8", "replace") if self._is_text else whole

    def _note_end(self) -> None:
        if self._protocol.handshake_exc is not None:
            self._end("refused")
        elif self._protocol.state is not State.OPEN and self.state == "open":
            is_done = self._protocol.close_rcvd is not None and (
                self._protocol.close_rcvd.code == _NORMAL
            )
            self._end("closed" if is_done else "lost")

    def _end(self, how: Literal["refused", "closed", "lost"]) -> None:
        if not self.is_over:
            if how == "lost" and self.state == "connecting":
                how = "refused"
            self.state = how

    def _collect(self) -> None:
        for data in self._protocol.data_to_send():
            self._queue += data if self._tls is None else self._tls.write(data)
        if self._tls is not None:
            self._queue += self._tls.pending()
