"""Servers and programs that this server connects to, or starts: RTMP servers, WebSockets of
applications, the browser of a render; any bytes."""

import asyncio
import atexit
import contextlib
import socket
from functools import cache

from sfu.egress.audio import messages
from sfu.egress.audio.peer import Peer, Target
from sfu.egress.child.amf import decoded
from sfu.egress.child.rtmp_client import RtmpAddress, RtmpClient, RtmpError
from sfu.egress.child.tracks import Tracks
from sfu.egress.render.devtools import BrowserError, DevTools

_TRANSPORTS = (
    messages.Transport(),
    messages.Transport("audio", "audio", {"kind": "media"}),
)
_MAX_ANSWERS = 1 << 20


def connector_messages(data: bytes) -> None:
    """What an application's server sends, as audio and as JSON; what is repeated stays small."""
    for transport in _TRANSPORTS:
        messages.read(data, transport)
        said = messages.read(data.decode("utf-8", "replace"), transport)
        if isinstance(said, messages.Notify):
            assert len(messages.notified(said.payload)) <= messages.MAX_PAYLOAD_BYTES + 64


def connector_sockets(data: bytes) -> None:
    """Bytes behind the upgrade request, in two parts: the peer is over, or it is not; nothing else
    is raised."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = Peer(ours, Target("app.test", 80, "/x"), None, 0)
        cut = data[0] % len(data) if data else 0
        for part in (data[:cut], data[cut:]):
            if part and not peer.is_over:
                theirs.sendall(part)
                peer.read(1)
                peer.write()
        peer.handle_time(2)


def rtmp_answers(data: bytes) -> None:
    """What an RTMP server sends behind its handshake; its commands alone, too."""
    with contextlib.suppress(ValueError):
        decoded(data)
    client = RtmpClient(RtmpAddress("rtmp://x/a", "a", "key"), Tracks(None, None), bytes(1_528))
    cut = data[0] % len(data) if data else 0
    with contextlib.suppress(RtmpError):
        for part in (b"\x03" + bytes(3_072), data[:cut], data[cut:]):
            client.handle(part)
    assert len(client.take()) < _MAX_ANSWERS


def devtools_messages(data: bytes) -> None:
    """What a browser says that a page has taken over: calls end, with an answer or without."""
    _loop().run_until_complete(_devtools(data))


@cache
def _loop() -> asyncio.AbstractEventLoop:
    made = asyncio.new_event_loop()
    atexit.register(made.close)
    return made


async def _devtools(data: bytes) -> None:
    tools = DevTools(lambda _name, _given, _session: None)
    answers = [_loop().create_future() for _ in range(3)]
    tools._waiting = dict(enumerate(answers, 1))
    reader = asyncio.StreamReader(limit=65_536)
    reader.feed_data(data)
    reader.feed_eof()
    await tools._read(reader)
    assert tools.over.is_set()
    for answer in answers:
        with contextlib.suppress(BrowserError):
            assert isinstance(answer.result(), dict)
