"""The links that this node has opened, as a gate: one to each node at which its clients' sessions
live, opened when it is needed. Requests of REST go the same way, as requests of HTTP: same
listener, same certificates.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import aiohttp
import structlog
from yarl import URL

from config.version import version
from signaling.cluster.base import Cluster
from signaling.cluster.engine import NodeRow
from signaling.domain.errors import DomainError, ErrorCode, error
from signaling.links import messages as k
from signaling.links.envelope import HOME_READER, MAX_ENVELOPE_BYTES
from signaling.links.hearing import Hearing
from signaling.links.identity import LinkIdentity, fingerprint
from signaling.links.link import Count, Ends, Link

log = structlog.get_logger(__name__)

LINK_PATH = "/link"
OPEN_S = 1.0
"""For a connection, and for the handshake on it. Nodes are near each other, and another node can be
asked soon."""
ANSWER_S = 60.0
"""For the answer to a request: those that start something wait for processes and for servers."""
MAX_ANSWER_BYTES = 33_554_432
"""Of what REST answers; the longest are lists of thousands of connections."""
LEFT_OUT = frozenset(
    {"connection", "content-length", "date", "host", "keep-alive", "server", "transfer-encoding"}
)
"""Headers that belong to a connection, or that each end says for itself."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A request of HTTP on its way to the session's home; `target` is its path with the query, as
    it came."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HomeAnswer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class _Way:
    """To one life of one node."""

    def __init__(self, peer: NodeRow, identity: LinkIdentity) -> None:
        self.peer = peer
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=identity.calling(peer.certificate)),
            timeout=aiohttp.ClientTimeout(total=ANSWER_S, sock_connect=OPEN_S),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self.opening = asyncio.Lock()
        self.link: Link | None = None
        self.running: asyncio.Task[None] | None = None


class Links:
    """`on_link` is called with each link that was opened, before its first message."""

    def __init__(self, hearing: Hearing, identity: LinkIdentity, name: str, count: Count) -> None:
        self._cluster, self._hearing = hearing.cluster, hearing
        self._identity, self._name, self._count = identity, name, count
        self._ways: dict[int, _Way] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.on_link: Callable[[Link], None] = _no_link

    def own_hello(self) -> k.Hello:
        return k.Hello(
            node=self._name,
            incarnation=self._cluster.me,
            release=version(),
            proto=k.PROTOCOL,
        )

    async def to(self, incarnation: int) -> Link:
        """The link to a node. Errors: `home_away`."""
        way = self._way(incarnation)
        async with way.opening:
            if way.link is None or not way.link.is_open:
                way.link = await self._open(way)
            return way.link

    async def forward(self, incarnation: int, request: Forwarded) -> HomeAnswer | None:
        """What the home answers to a request; None: it was not reached, and has seen nothing of it.
        Errors: `home_away` when it is not known what became of the request."""
        try:
            way = self._way(incarnation)
            async with way.http.request(
                request.method,
                URL(way.peer.link_url + request.target, encoded=True),
                headers=request.headers,
                data=request.body or None,
                allow_redirects=False,
                skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
            ) as answer:
                return await _read(answer)
        except aiohttp.ClientConnectorError as failure:
            self._note_refused(incarnation, failure)
            return None
        except DomainError:
            return None
        except (aiohttp.ClientError, OSError, TimeoutError) as failure:
            log.info("home not reached", node=way.peer.name, reason=type(failure).__name__)
            raise error(ErrorCode.HOME_AWAY) from None

    def tidy(self) -> None:
        """Ends the ways to nodes that do not live any more."""
        for incarnation in list(self._ways):
            if self._peer(incarnation) is None:
                self._end(self._ways.pop(incarnation))

    def end_all(self) -> None:
        for way in self._ways.values():
            self._end(way)
        self._ways.clear()

    async def close(self) -> None:
        self.end_all()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _peer(self, incarnation: int) -> NodeRow | None:
        return None if incarnation == self._cluster.me else self._cluster.node(incarnation)

    def _way(self, incarnation: int) -> _Way:
        """Errors: `home_away` when the node does not live."""
        self.tidy()
        peer = self._peer(incarnation)
        if peer is None or not peer.link_url:
            raise error(ErrorCode.HOME_AWAY)
        if incarnation not in self._ways:
            self._ways[incarnation] = _Way(peer, self._identity)
        return self._ways[incarnation]

    async def _open(self, way: _Way) -> Link:
        try:
            async with asyncio.timeout(2 * OPEN_S):
                socket = await way.http.ws_connect(
                    way.peer.link_url + LINK_PATH,
                    max_msg_size=MAX_ENVELOPE_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=OPEN_S),
                    compress=0,
                )
            ends = Ends(self.own_hello(), way.peer, HOME_READER)
            link = Link(socket, ends, self._count)
            await link.greet()
        except (aiohttp.ClientError, OSError, TimeoutError, DomainError) as failure:
            log.info("no link", node=way.peer.name, reason=type(failure).__name__)
            self._note_refused(way.peer.incarnation, failure)
            raise error(ErrorCode.HOME_AWAY) from None
        self.on_link(link)
        way.running = asyncio.create_task(self._run(link))
        return link

    async def _run(self, link: Link) -> None:
        incarnation = link.peer.incarnation
        self._hearing.up(incarnation)
        try:
            await link.run()
        finally:
            self._hearing.down(incarnation)

    def _note_refused(self, incarnation: int, failure: Exception) -> None:
        cause = failure.os_error if isinstance(failure, aiohttp.ClientConnectorError) else failure
        if isinstance(cause, ConnectionRefusedError):
            self._hearing.refused(incarnation)

    def _end(self, way: _Way) -> None:
        task = asyncio.create_task(_ended(way))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _read(answer: aiohttp.ClientResponse) -> HomeAnswer:
    """Errors: `ClientError`, also when it is too long."""
    body = bytearray()
    async for chunk in answer.content.iter_chunked(65_536):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError
    headers = ((name, text) for name, text in answer.headers.items())
    kept = tuple((name, text) for name, text in headers if name.lower() not in LEFT_OUT)
    return HomeAnswer(answer.status, kept, bytes(body))


async def _ended(way: _Way) -> None:
    if way.link is not None:
        way.link.end()
    if way.running is not None:
        with contextlib.suppress(Exception):
            await way.running
    await way.http.close()


def living_node(shown: bytes | None, cluster: Cluster) -> NodeRow | None:
    """The other living node that has the certificate (DER) which was shown."""
    if shown is None:
        return None
    mark = fingerprint(shown)
    others = (row for row in cluster.nodes() if row.certificate and row.incarnation != cluster.me)
    return next((row for row in others if fingerprint(row.certificate) == mark), None)


def _no_link(_link: Link) -> None:
    """Before somebody listens."""
