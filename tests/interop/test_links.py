"""A node and whoever comes to its listener for other nodes."""

import asyncio
import contextlib
import time

import aiohttp
import jwt
import msgspec
import pytest

from signaling.cluster.engine import NodeRow
from signaling.links import messages as k
from signaling.links.envelope import HOME_READER, MAX_ENVELOPE_BYTES, write
from signaling.links.identity import LinkIdentity
from tests.cluster.fake_cluster import FakeCluster
from tests.node_world import Nodes, room

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
]


class Peer:
    """Another node, as far as a test wants it to be one."""

    def __init__(self, nodes: Nodes, *, has_row: bool = True) -> None:
        self.identity = LinkIdentity()
        self.home = nodes.clusters()[0]
        self.url = nodes.network.rows[self.home.me].link_url
        pinned = nodes.network.rows[self.home.me].certificate
        self.cluster = None
        if has_row:
            row = NodeRow("peer", certificate=self.identity.certificate)
            self.cluster = FakeCluster(nodes.network, row)
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self.identity.calling(pinned))
        )

    async def link(self, **hello):
        self.socket = await self.http.ws_connect(f"{self.url}/link", max_msg_size=0)
        own = {"node": "peer", "release": "1", "proto": k.PROTOCOL}
        known = 1 if self.cluster is None else self.cluster.me
        await self.say(k.Hello(**{**own, "incarnation": known, **hello}))
        return self.socket

    async def say(self, message):
        data = message if isinstance(message, bytes) else write(message)
        with contextlib.suppress(ConnectionError):
            await self.socket.send_bytes(data)

    async def hears(self, kind):
        """The next message of a kind."""
        while True:
            frame = await asyncio.wait_for(self.socket.receive(), 10)
            assert frame.type is aiohttp.WSMsgType.BINARY, self.socket.close_code
            message = HOME_READER.read(frame.data)
            if isinstance(message, kind):
                return message

    async def code(self):
        while not self.socket.closed:
            await asyncio.wait_for(self.socket.receive(), 10)
        return self.socket.close_code


@pytest.fixture
async def peers(nodes):
    made = []

    def peer(**options):
        made.append(Peer(nodes, **options))
        return made[-1]

    yield peer
    for one in made:
        await one.http.close()


async def refused(nodes, reason):
    return await nodes.metric(0, f'sealroute_links_refused_total{{reason="{reason}"}}')


async def test_who_has_no_row_does_not_get_through_the_handshake(nodes, peers):
    stranger = peers(has_row=False)
    with pytest.raises((aiohttp.ClientError, OSError)):
        async with stranger.http.get(f"{stranger.url}/v2/project/1/session") as answer:
            await answer.read()
    while not await refused(nodes, "certificate"):  # noqa: ASYNC110 - of another task
        await asyncio.sleep(0.05)


async def test_the_certificate_of_a_dead_row_opens_nothing(nodes, peers):
    peer = peers()
    nodes.network.end(peer.cluster.me)
    async with peer.http.get(f"{peer.url}/v2/project/1/session") as answer:
        assert answer.status == 404
    await peer.link()
    assert await peer.code() == 4401
    assert await refused(nodes, "certificate") == 2


@pytest.mark.parametrize(
    ("hello", "code", "reason"),
    [({"incarnation": 77}, 4409, "incarnation"), ({"proto": 9}, 4426, "version")],
)
async def test_a_hello_of_another_life_or_version_ends_the_link(nodes, peers, hello, code, reason):
    peer = peers()
    await peer.link(**hello)
    assert await peer.code() == code
    assert await refused(nodes, reason) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        msgspec.msgpack.encode({"k": "joined", "re": 1}),
        msgspec.msgpack.encode({"k": "request", "client": -1, "e": 1, "frame": b""}),
        msgspec.msgpack.encode({"k": "nonsense"}),
        bytes(MAX_ENVELOPE_BYTES + 1),
    ],
)
async def test_what_is_no_message_of_a_gate_ends_the_link(nodes, peers, data):
    peer = peers()
    await peer.link()
    await peer.hears(k.Hello)
    await peer.say(data)
    assert await peer.code() in (4400, 1009)
    assert await refused(nodes, "message") == 1


async def test_who_lies_about_an_epoch_changes_nothing(nodes, peers):
    there = await room(nodes, 0)
    peer = peers()
    home = peer.home
    epoch = home.homes[there.session].epoch
    await peer.link()
    join = {"s": there.session, "hello": hello_of(nodes, there), "json": True}
    await peer.say(k.Join(id=1, client=1, e=epoch + 1, **join))
    answer = await peer.hears(k.Refused)
    assert (answer.re, answer.code, answer.e) == (1, "home_away", epoch)
    assert home.shown == [(there.session, epoch + 1)]
    await peer.say(k.Join(id=2, client=2, e=epoch, **join))
    assert (await peer.hears(k.Joined)).re == 2
    signal = b'{"t": "signal", "id": 5, "data": "from nowhere"}'
    await peer.say(k.Request(client=2, e=epoch - 1, frame=signal))
    await peer.say(k.Request(client=3, e=epoch, frame=signal))
    await peer.say(k.Request(client=2, e=epoch, frame=signal.replace(b"nowhere", b"there")))
    while True:
        received = await asyncio.wait_for(there.sockets[0].receive_json(), 10)
        if received["t"] == "signalReceived":
            break
    assert received["data"] == "from there"
    assert await refused(nodes, "epoch") == 2
    assert await refused(nodes, "client") == 1


async def test_members_that_are_not_known_are_ignored(nodes, peers):
    there = await room(nodes, 0)
    peer = peers()
    await peer.link()
    join = k.Join(
        id=4,
        client=1,
        s=there.session,
        e=peer.home.homes[there.session].epoch,
        hello=hello_of(nodes, there),
        json=True,
    )
    later = {**msgspec.to_builtins(join, builtin_types=(bytes,)), "later": [1, {"a": None}]}
    await peer.say(msgspec.msgpack.encode(later))
    assert (await peer.hears(k.Deliver)).to == (1,)
    assert (await peer.hears(k.Joined)).re == 4


async def test_a_forwarded_request_goes_no_further(nodes, peers):
    site = nodes.sites[0]
    session = await site.session()
    socket = await nodes.sites[1].join(session, site.token(session))
    await socket.receive_json()
    peer = peers()
    token = {"X-OPENTOK-AUTH": rest_token(site)}
    path = f"/v2/project/{site.key}/session/{session}/stream"
    async with peer.http.get(peer.url + path, headers=token) as answer:
        assert answer.status == 503
        assert (await answer.json())["error"] == "home_away"
    assert await refused(nodes, "forwarded") == 1
    async with peer.http.get(peer.url + path) as answer:
        assert answer.status == 403


def hello_of(nodes, there):
    site = nodes.sites[0]
    hello = {
        "t": "hello",
        "id": 1,
        "apiKey": site.key,
        "sessionId": there.session,
        "token": site.token(there.session),
        "sdk": {"name": "test", "version": "1"},
        "e2ee": {"formats": ["e2ee/2"]},
    }
    return msgspec.json.encode(hello)


def rest_token(site):
    now = int(time.time())
    claims = {"iss": site.key, "ist": "project", "iat": now, "exp": now + 180}
    return jwt.encode(claims, site.secret, algorithm="HS256")
