"""The listener for other nodes: links, and requests that they forward.

The handshake lets in who holds a certificate that was ever in a row; each request is compared with
the rows of the nodes that live now.
"""

import ssl
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiohttp import web

from signaling.cluster.engine import NodeRow
from signaling.domain.errors import DomainError, ErrorCode, NotFound
from signaling.http.answers import error_answer
from signaling.http.websocket_connection import WebSocketConnection
from signaling.links import messages as k
from signaling.links.envelope import GATE_READER, MAX_ENVELOPE_BYTES
from signaling.links.hearing import Hearing
from signaling.links.link import Count, Ends, Link
from signaling.links.links import LINK_PATH, OPEN_S, living_node
from signaling.links.refusals import CLOSE_CODES, LinkRefusal

log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LinkListener:
    """`on_link` is called with each link of another node."""

    def __init__(
        self,
        hearing: Hearing,
        own_hello: Callable[[], k.Hello],
        count: Count,
        on_link: Callable[[Link], None],
    ) -> None:
        self._cluster, self._hearing = hearing.cluster, hearing
        self._own_hello, self._count, self._on_link = own_hello, count, on_link
        self._links: set[Link] = set()

    def application(self, forwarded: Sequence[web.RouteDef]) -> web.Application:
        """`forwarded` answer what other nodes forward, and forward nothing themselves."""
        app = web.Application(middlewares=[self._only_peers])
        app.router.add_get(LINK_PATH, self._link)
        app.router.add_routes(forwarded)
        return app

    def close(self) -> None:
        for link in list(self._links):
            link.end()

    @web.middleware
    async def _only_peers(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == LINK_PATH or self._peer(request) is not None:
            return await handler(request)
        self._count(LinkRefusal.CERTIFICATE)
        answer = error_answer(NotFound(ErrorCode.NOT_FOUND))
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    async def _link(self, request: web.Request) -> web.StreamResponse:
        peer = self._peer(request)
        socket = web.WebSocketResponse(
            max_msg_size=MAX_ENVELOPE_BYTES, compress=False, timeout=OPEN_S
        )
        await socket.prepare(request)
        if peer is None:
            self._count(LinkRefusal.CERTIFICATE)
            await socket.close(code=CLOSE_CODES[LinkRefusal.CERTIFICATE])
            return socket
        link = Link(socket, Ends(self._own_hello(), peer, GATE_READER), self._count)
        try:
            await link.greet()
        except DomainError:
            return socket
        log.info("linked", node=peer.name)
        self._links.add(link)
        self._hearing.up(peer.incarnation)
        try:
            self._on_link(link)
            await link.run()
        finally:
            self._links.discard(link)
            self._hearing.down(peer.incarnation)
        return socket

    def _peer(self, request: web.Request) -> NodeRow | None:
        """Who shows the certificate of a living row; it is no stranger any more."""
        transport = request.transport
        shown = None if transport is None else transport.get_extra_info("ssl_object")
        der = shown.getpeercert(binary_form=True) if isinstance(shown, ssl.SSLObject) else None
        peer = living_node(der, self._cluster)
        if peer is not None and isinstance(request.protocol, WebSocketConnection):
            request.protocol.admit()
        return peer
