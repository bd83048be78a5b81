"""SIP messages over the socket that the server gave: datagrams, a connection, or TLS on it; nothing
waits."""

import socket
import ssl

from sfu.egress.audio.tls import Tls
from sfu.egress.sip.dialog import Place
from sfu.egress.sip.messages import MAX_MESSAGE_BYTES, MessageStream
from sfu.egress.sip_uri import MessageError

_CHUNK_BYTES = 65_536
MAX_QUEUED_BYTES = 262_144
DATAGRAMS_AT_ONCE = 50
"""More wait for the next turn, so that a flood does not stop the audio."""


class Wire:
    """`is_lost`: the connection has ended; datagrams have none."""

    def __init__(
        self,
        connection: socket.socket,
        peer: Place,
        tls: ssl.SSLContext | None = None,
        name: str = "",
    ) -> None:
        self.is_lost = False
        self.unsent = 0
        self._socket = connection
        self._socket.setblocking(False)
        self._peer = peer
        self._is_stream = connection.type == socket.SOCK_STREAM
        self._stream = MessageStream()
        self._tls = None if tls is None else Tls(tls, name)
        self._queue = bytearray() if self._tls is None else bytearray(self._tls.write(b""))

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def wants_to_write(self) -> bool:
        return bool(self._queue) and not self.is_lost

    def send(self, data: bytes, to: Place | None = None) -> None:
        """`to`: an address, for datagrams; None: the peer."""
        if not self._is_stream:
            try:
                self._socket.sendto(data, to or self._peer)
            except OSError:  # the kernel is full, or says that the last one did not arrive
                self.unsent += 1
            return
        if self.is_lost or len(self._queue) > MAX_QUEUED_BYTES:
            self.unsent += 1
            return
        self._queue += data if self._tls is None else self._tls.write(data)
        self.write()

    def write(self) -> None:
        """As much as the kernel takes."""
        try:
            while self._queue:
                del self._queue[: self._socket.send(self._queue[:_CHUNK_BYTES])]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.is_lost = True

    def read(self) -> list[tuple[bytes, Place | None]]:
        """Messages, and where answers to them go; None: back on the connection."""
        return self._connection() if self._is_stream else self._datagrams()

    def _datagrams(self) -> list[tuple[bytes, Place | None]]:
        found: list[tuple[bytes, Place | None]] = []
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                data, source = self._socket.recvfrom(MAX_MESSAGE_BYTES)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # an answer to what was sent: nobody listens there
                continue
            if data.strip(b"\r\n\0"):
                found.append((data, (source[0], source[1])))
        return found

    def _connection(self) -> list[tuple[bytes, Place | None]]:
        try:
            chunk = self._socket.recv(_CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            chunk = b""
        self.is_lost |= not chunk
        try:
            plain = chunk
            if self._tls is not None and chunk:
                plain = self._tls.read(chunk)
                self._queue += self._tls.pending()
                self.write()
            return [(data, None) for data in self._stream.feed(plain)]
        except (ssl.SSLError, MessageError):
            self.is_lost = True
            return []
