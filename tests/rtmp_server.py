"""An RTMP server that takes what is published: bytes in, bytes out, and as threads over sockets."""

import os
import socket
import threading
from contextlib import suppress

from sfu.egress.child import rtmp_chunks
from sfu.egress.child.amf import decoded, encoded
from sfu.egress.child.rtmp_chunks import ChunkReader, Message, chunks

HANDSHAKE_BYTES = 1_536


class RtmpPeer:
    """The server's side of one connection. `refuses`: the command that it answers with an error."""

    def __init__(self, refuses: str | None = None, chunk_size: int = 4_096) -> None:
        self.refuses = refuses
        self.messages: list[Message] = []
        self.commands: list[list] = []
        self.out = bytearray()
        self._chunk_size = chunk_size
        self._handshake = bytearray()
        self._has_begun = self._shaken = False
        self._reader = ChunkReader()

    def take(self) -> bytes:
        found = bytes(self.out)
        self.out.clear()
        return found

    def handle(self, data: bytes) -> None:
        if not self._shaken:
            self._handshake += data
            if len(self._handshake) >= 1 + HANDSHAKE_BYTES and not self._has_begun:
                self._has_begun = True
                own = bytes(8) + os.urandom(HANDSHAKE_BYTES - 8)
                self.out += b"\x03" + own + self._handshake[1 : 1 + HANDSHAKE_BYTES]
            if len(self._handshake) < 1 + 2 * HANDSHAKE_BYTES:
                return
            data, self._shaken = bytes(self._handshake[1 + 2 * HANDSHAKE_BYTES :]), True
            self.send(Message(rtmp_chunks.WINDOW_SIZE, (5_000_000).to_bytes(4)))
            size = self._chunk_size.to_bytes(4)
            self.out += chunks(Message(rtmp_chunks.SET_CHUNK_SIZE, size), 2, 128)
            self.send(Message(rtmp_chunks.USER_CONTROL, bytes([0, 6, 0, 0, 0, 9])))
        for message in self._reader.feed(data):
            self.messages.append(message)
            if message.kind == rtmp_chunks.COMMAND:
                self._answer(decoded(message.body))

    def send(self, message: Message) -> None:
        self.out += chunks(message, 3, self._chunk_size)

    def say(self, *values, stream: int = 0) -> None:
        self.send(Message(rtmp_chunks.COMMAND, encoded(*values), stream))

    def status(self, code: str, level: str = "status") -> None:
        self.say("onStatus", 0.0, None, {"level": level, "code": code}, stream=1)

    def _answer(self, command: list) -> None:
        self.commands.append(command)
        name, number = command[0], command[1]
        if name == self.refuses:
            self.say("_error", number, None, {"level": "error", "code": "NetConnection.Refused"})
        elif name == "connect":
            self.say("_result", number, {"fmsVer": "x"}, {"code": "NetConnection.Connect.Success"})
        elif name == "createStream":
            self.say("_result", number, None, 1.0)
        elif name == "publish":
            self.status("NetStream.Publish.Start")

    @property
    def video(self) -> list[Message]:
        return [one for one in self.messages if one.kind == rtmp_chunks.VIDEO]

    @property
    def audio(self) -> list[Message]:
        return [one for one in self.messages if one.kind == rtmp_chunks.AUDIO]


class RtmpServer:
    """Listens on loopback. `peers`: one for each connection so far. `reads`: cleared, it reads
    nothing more, as a server that hangs."""

    def __init__(self, port: int = 0) -> None:
        self.peers: list[RtmpPeer] = []
        self.refuses: str | None = None
        self.reads = threading.Event()
        self.reads.set()
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"rtmp://127.0.0.1:{self.port}/live"

    def hang_up(self) -> None:
        """Ends all connections."""
        for one in self._connections:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reads.set()
        self.hang_up()
        self._thread.join(5)

    def _accept(self) -> None:
        threads = []
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                peer = RtmpPeer(self.refuses)
                self.peers.append(peer)
                self._connections.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection, peer), daemon=True)
                thread.start()
                threads.append(thread)
        for thread in threads:
            thread.join(5)

    def _serve(self, connection: socket.socket, peer: RtmpPeer) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(65_536):
                peer.handle(data)
                connection.sendall(peer.take())
                self.reads.wait()
