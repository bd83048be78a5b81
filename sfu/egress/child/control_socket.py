"""The child's end of the control lines."""

import select
import socket
from typing import Generic

from msgspec import Struct

from sfu.egress.control import MAX_LINE_BYTES, Line, LineError, LineReader, LineWriter

_CHUNK_BYTES = 65_536


class ControlSocket(Generic[Line]):
    """`closed` when the server is gone, or when what comes is not what a server sends."""

    def __init__(self, connection: socket.socket, reader: LineReader[Line]) -> None:
        self._socket = connection
        self._socket.setblocking(False)
        self._reader = reader
        self._writer = LineWriter()
        self._buffer = bytearray()
        self.closed = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def poll(self, timeout_s: float = 0.0) -> list[Line]:
        """The lines that are there; waits for one at most this long."""
        lines: list[Line] = []
        if self.closed or not select.select([self._socket], [], [], timeout_s)[0]:
            return lines
        try:
            chunk = self._socket.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return lines
        except OSError:
            chunk = b""
        if not chunk:
            self.closed = True
            return lines
        self._buffer += chunk
        try:
            while (end := self._buffer.find(b"\n")) >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                lines.append(self._reader.decode(line))
        except LineError:
            self.closed = True
        if len(self._buffer) > MAX_LINE_BYTES:
            self.closed = True
        return lines

    def send(self, line: Struct, *, must_arrive: bool = True) -> None:
        """A line that need not arrive is left out when the server does not read."""
        if self.closed:
            return
        if not must_arrive and not select.select([], [self._socket], [], 0)[1]:
            return
        try:
            self._socket.setblocking(True)
            self._socket.sendall(self._writer.encode(line))
        except OSError:
            self.closed = True
        finally:
            self._socket.setblocking(False)
