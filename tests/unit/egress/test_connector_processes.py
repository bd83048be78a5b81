"""Audio connections in real processes, to WebSockets that come, refuse, stay silent and go."""

import asyncio
import contextlib
import os
import re
import select
import signal
import socket
import struct
import sys
from pathlib import Path

import pytest
import websockets
from websockets.utils import accept_key

from bench.ports import free_port
from config.connector_settings import ConnectorSettings
from sfu.egress.connector_jobs import AudioFormat, ConnectorJob
from sfu.egress.connectors import ZYGOTE_MODULE, Connectors
from sfu.egress.jobs import EgressError, PacketForm
from tests.served import until
from tests.unit.egress.jobs import WAIT_S

PROGRAM = (sys.executable, "-m", ZYGOTE_MODULE)
FRAME = bytes(640)
HEAD = struct.Struct("<BBHIQBB")
"""Of a record of a tap, and the first two bytes of its packet."""
PUBLISH = 7
SOCKETS: list[socket.socket] = []


@pytest.fixture(autouse=True)
def sockets():
    yield
    while SOCKETS:
        SOCKETS.pop().close()


class Listener:
    def __init__(self):
        self.noticed = []

    def on_spoken(self):
        self.noticed.append("spoken")

    def on_open_again(self):
        self.noticed.append("open again")

    def on_over(self, how):
        self.noticed.append(how)


class Application:
    """A WebSocket server; what it got, and its connections."""

    def __init__(self):
        self.connections, self.messages, self.requests = [], [], []

    async def handle(self, connection):
        self.connections.append(connection)
        self.requests.append(connection.request)
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in connection:
                self.messages.append(message)


@pytest.fixture
async def application():
    one = Application()
    async with websockets.serve(one.handle, "127.0.0.1", 0) as server:
        one.port = server.sockets[0].getsockname()[1]
        yield one


def connectors_of(program=PROGRAM, open_s=30, **settings):
    return Connectors(
        ConnectorSettings(open_s=open_s, **settings), program=program, retries_s=(0.05, 0.1, 0.2)
    )


@pytest.fixture
async def egress():
    made = connectors_of()
    yield made
    await made.close()


class Started:
    def __init__(self, egress, port):
        self.core, self.media = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        SOCKETS.extend((self.core, self.media))
        self.listener = Listener()
        self.dials = 0
        self.port = port
        headers = {"X-Bot": "7"}
        audio = AudioFormat(16_000, bidirectional=True)
        job = ConnectorJob(self.dial, "localhost", port, "/a?b=c", False, headers, headers, audio)
        self.run = egress.start(job, self.media, self.listener)

    async def dial(self):
        self.dials += 1
        connection = socket.socket()
        connection.setblocking(False)
        SOCKETS.append(connection)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
        return connection

    async def opened(self):
        async with asyncio.timeout(WAIT_S):
            await self.run.opened()

    async def over(self):
        await asyncio.wait({self.run.task}, timeout=WAIT_S)
        return self.listener.noticed[-1]


@contextlib.asynccontextmanager
async def answering(answer):
    """A TCP server that says this to whoever comes, and waits."""

    async def handle(reader, writer):
        writer.write(answer)
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def saying_goodbye(*codes):
    """A WebSocket server that closes each connection in the very packet that opens it, with the
    next of these codes."""
    left = list(codes)

    async def handle(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        key = re.search(rb"Sec-WebSocket-Key: *(\S+)", request, re.IGNORECASE)[1].decode()
        head = (
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept_key(key)}"
        )
        goodbye = b"\x88\x02" + left.pop(0).to_bytes(2)
        writer.write(f"HTTP/1.1 101 Switching Protocols\r\n{head}\r\n\r\n".encode() + goodbye)
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def code_of(started):
    with pytest.raises(EgressError) as failure:
        await started.opened()
    assert started.listener.noticed == []
    return failure.value.code


async def test_an_application_gets_silence_and_speaks(egress, application):
    started = Started(egress, application.port)
    await started.opened()
    assert application.requests[0].headers["X-Bot"] == "7"
    await until(lambda: len(application.messages) > 3)
    assert application.messages[1:4] == [FRAME] * 3
    await application.connections[0].send(FRAME)
    await until(lambda: started.listener.noticed == ["spoken"])
    started.run.speak(PacketForm(ssrc=1, payload_type=111, audio_level_id=1))
    await until(lambda: select.select([started.core], [], [], 0)[0])
    kind, _, _, ssrc, _, flags, payload_type = HEAD.unpack_from(started.core.recv(2_000))
    assert (kind, ssrc, flags, payload_type) == (PUBLISH, 1, 0x90, 111)
    started.run.leave()
    await asyncio.wait({started.run.task}, timeout=WAIT_S)
    await until(lambda: application.connections[0].close_code == 1000)
    assert started.listener.noticed == ["spoken"]


async def test_a_peer_that_is_done_is_left_in_peace(egress, application):
    started = Started(egress, application.port)
    await started.opened()
    await application.connections[0].close(1000)
    assert await started.over() == "peer closed"
    assert started.dials == 1


async def test_a_peer_that_goes_away_is_connected_again_and_then_given_up(egress, application):
    started = Started(egress, application.port)
    await started.opened()
    await application.connections[0].close(1011)
    await until(lambda: started.listener.noticed == ["open again"])
    async with answering(b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n") as started.port:
        await application.connections[1].close(1001)
        assert await started.over() == "peer lost"
    assert egress.counters()["reconnects"] > 1


async def test_a_process_that_dies_is_followed_by_another_one(egress, application):
    started = Started(egress, application.port)
    await started.opened()
    os.kill(started.run._process._link.process.pid, signal.SIGKILL)
    await until(lambda: started.listener.noticed == ["open again"])
    assert len(application.connections) == 2
    started.run.leave()
    await asyncio.wait({started.run.task}, timeout=WAIT_S)


ANSWERS = {
    "forbidden": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "silence": b"",
}


async def test_what_does_not_become_a_websocket_is_an_error():
    egress = connectors_of(open_s=1)
    async with contextlib.AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(answering(one)) for one in ANSWERS.values()]
        started = [Started(egress, port) for port in (*ports, free_port())]
        codes = await asyncio.gather(*map(code_of, started))
    assert codes == ["connect_failed"] * 5
    assert [one.dials for one in started] == [1] * 5
    await egress.close()


@pytest.mark.parametrize("code", [1000, 1011])
async def test_who_says_goodbye_with_the_handshake_was_never_there(egress, code):
    async with saying_goodbye(code) as port:
        started = Started(egress, port)
        assert await code_of(started) == "connect_failed"
        await started.run.task
    assert started.dials == 1
    assert "lies" not in egress.counters()


async def test_a_peer_that_is_done_with_the_handshake_after_a_loss_is_left_in_peace(
    egress, application
):
    started = Started(egress, application.port)
    await started.opened()
    async with saying_goodbye(1011, 1000) as started.port:
        await application.connections[0].close(1011)
        assert await started.over() == "peer closed"
    assert started.dials == 3
    assert "lies" not in egress.counters()


async def test_a_server_without_processes_does_not_blame_the_caller(application):
    egress = connectors_of((sys.executable, "-c", "pass"))
    assert await code_of(Started(egress, application.port)) == "child_lost"
    await egress.close()


async def test_there_are_so_many_and_nothing_is_left_of_them(application):
    egress = connectors_of(connections_max=1)
    first = Started(egress, application.port)
    await first.opened()
    with pytest.raises(EgressError) as failure:
        Started(egress, application.port)
    assert failure.value.code == "no_capacity"
    pid = first.run._process._link.process.pid
    await egress.close()
    await until(lambda: not Path(f"/proc/{pid}").exists())
