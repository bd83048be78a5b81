"""The WebSocket of an Audio Connector, against a server of the same package over a socket pair."""

import socket
import ssl

import pytest
from websockets.frames import CloseCode, Opcode
from websockets.server import ServerProtocol

from sfu.egress.audio import peer
from sfu.egress.audio.peer import MAX_QUEUED_BYTES, PING_US, SILENCE_US, Peer, Target
from tests.certificates import write_certificate

TARGET = Target("localhost", 80, "/a?b=c", {"X-Bot": "7"})
NOW_US = 1_000_000


@pytest.fixture(autouse=True)
def short_goodbyes(monkeypatch):
    monkeypatch.setattr(peer, "GOODBYE_S", 0.01)


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        return ours, listening.accept()[0]


class Server:
    """The other end: what it read, and a protocol without I/O."""

    def __init__(self, context=None, tls=None, pair=None):
        ours, self.socket = pair or socket.socketpair()
        self.socket.setblocking(False)
        self.protocol = ServerProtocol(max_size=None)
        self.peer = Peer(ours, TARGET, context, NOW_US)
        self.request = None
        self.frames = []
        self.got = []
        self.tls = tls

    def turn(self, now_us=NOW_US):
        """Everything that is under way arrives."""
        for _ in range(6):
            self.peer.write()
            self._read()
            self._write()
            if not self.peer.is_over:
                self.got += self.peer.read(now_us)

    def _read(self):
        try:
            chunk = self.socket.recv(1 << 20)
        except BlockingIOError:
            return
        if self.tls is not None:
            chunk = self.tls.feed(chunk)
        if chunk:
            self.protocol.receive_data(chunk)
        for event in self.protocol.events_received():
            if self.request is None:
                self.request = event
                self.answer(event)
            else:
                self.frames.append(event)

    def answer(self, request):
        self.protocol.send_response(self.protocol.accept(request))

    def _write(self):
        for data in self.protocol.data_to_send():
            if data:
                self.socket.send(data if self.tls is None else self.tls.seal(data))
        if self.tls is not None and (more := self.tls.outgoing.read()):
            self.socket.send(more)

    def messages(self):
        return [
            bytes(one.data) for one in self.frames if one.opcode in (Opcode.TEXT, Opcode.BINARY)
        ]


class Refusing(Server):
    def answer(self, request):
        self.protocol.send_response(self.protocol.reject(302, "elsewhere"))


class ServerTls:
    def __init__(self, context):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.waiting = b""

    def feed(self, chunk):
        self.incoming.write(chunk)
        plain = b""
        try:
            self.object.do_handshake()
            while part := self.object.read(65_536):
                plain += part
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return b""
        return plain

    def seal(self, data):
        self.object.write(data)
        return self.outgoing.read()


@pytest.fixture
def server():
    server = Server()
    server.turn()
    yield server
    server.peer.close()
    server.socket.close()


def test_the_upgrade_has_the_callers_headers_and_no_compression(server):
    assert server.peer.state == "open"
    assert server.request.path == "/a?b=c"
    assert server.request.headers["X-Bot"] == "7"
    assert server.request.headers["Host"] == "localhost"
    assert "Sec-WebSocket-Extensions" not in server.request.headers


def test_messages_pass_both_ways_whole_and_in_order(server):
    server.peer.send("text")
    server.peer.send(b"audio")
    server.protocol.send_binary(b"first", fin=False)
    server.protocol.send_continuation(b" part", fin=True)
    server.protocol.send_text("zwölf".encode())
    server.turn()
    assert server.messages() == [b"text", b"audio"]
    assert server.got == [b"first part", "zwölf"]


def test_an_answer_that_is_no_upgrade_is_followed_nowhere():
    server = Refusing()
    server.turn()
    assert server.peer.state == "refused"
    assert server.got == []
    server.peer.close()
    server.socket.close()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 100_000, b"\r\n" * 9])
def test_what_speaks_no_http_is_refused(answer):
    server = Server()
    server.socket.send(answer)
    server.socket.shutdown(socket.SHUT_WR)
    for _ in range(9):
        if not server.peer.is_over:
            server.peer.read(NOW_US)
    assert server.peer.state == "refused"
    server.peer.close()
    server.socket.close()


@pytest.mark.parametrize(
    ("code", "state"), [(CloseCode.NORMAL_CLOSURE, "closed"), (CloseCode.GOING_AWAY, "lost")]
)
def test_a_peer_that_is_done_is_not_one_that_went_away(server, code, state):
    server.protocol.send_close(code)
    server.turn()
    assert server.peer.state == state


def test_an_end_without_a_word_is_a_loss(server):
    server.socket.close()
    server.peer.read(NOW_US)
    assert server.peer.state == "lost"
    server.socket = socket.socket()


def test_a_message_that_is_too_large_ends_it(server):
    server.peer._protocol.max_message_size = 1_000
    server.protocol.send_binary(bytes(2_000))
    server.turn()
    assert server.peer.state == "lost"
    assert server.got == []


def test_pings_are_answered_and_a_silent_peer_is_lost(server):
    server.protocol.send_ping(b"there?")
    server.turn()
    assert [one.opcode for one in server.frames] == [Opcode.PONG]
    server.peer.handle_time(NOW_US + PING_US + 1)
    server.turn(NOW_US + PING_US + 1)
    assert server.frames[-1].opcode is Opcode.PING
    server.peer.handle_time(NOW_US + PING_US + 1 + SILENCE_US)
    assert server.peer.state == "open"
    server.peer.handle_time(NOW_US + PING_US + 2 + SILENCE_US)
    assert server.peer.state == "lost"


def test_audio_that_a_peer_does_not_read_is_left_out_and_answers_are_not(server):
    for _ in range(10_000):
        server.peer.send(bytes(640))
        server.peer.write()
    assert server.peer.left_out > 0
    assert len(server.peer._queue) < MAX_QUEUED_BYTES + 2_000
    left_out = server.peer.left_out
    server.peer.send("answer", must_arrive=True)
    assert server.peer.left_out == left_out


def test_goodbye_is_said(server):
    server.peer.close()
    server._read()
    assert server.frames[-1].opcode is Opcode.CLOSE
    assert server.protocol.close_rcvd.code == CloseCode.NORMAL_CLOSURE


def test_goodbye_is_read_by_a_peer_that_talks():
    server = Server(pair=tcp_pair())
    server.turn()
    server.protocol.send_binary(bytes(50_000))
    server._write()
    server.peer.close()
    server.protocol.send_binary(b"more")
    server._write()
    server._read()
    assert server.frames[-1].opcode is Opcode.CLOSE
    server.socket.close()


@pytest.mark.parametrize("known", [True, False])
def test_tls_is_spoken_with_a_certificate_of_the_name_alone(tmp_path, known):
    write_certificate(tmp_path, name="localhost")
    certificate = tmp_path / "certificate.pem"
    at_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    at_server.load_cert_chain(certificate, tmp_path / "key.pem")
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if known:
        ours.load_verify_locations(certificate)
    server = Server(ours, ServerTls(at_server))
    server.turn()
    server.turn()
    assert server.peer.state == ("open" if known else "refused")
    if known:
        server.peer.send(b"audio")
        server.protocol.send_text(b"text")
        server.turn()
        assert (server.messages(), server.got) == ([b"audio"], ["text"])
    server.peer.close()
    server.socket.close()
