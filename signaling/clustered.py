"""A node among others: its links, the guests at its sessions, and the slots of its clients
elsewhere. A server without a cluster has none of this.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from aiohttp import web

from config.settings import HttpSettings
from signaling.authenticator import Authenticator
from signaling.clock import Clock
from signaling.cluster.base import (
    Change,
    Cluster,
    NodeCame,
    NodeDied,
    Reborn,
    Renewed,
    Superseded,
)
from signaling.domain.errors import DomainError
from signaling.http.connection_gate import ConnectionGate, Ending
from signaling.http.listener import bound_sockets, reason_of
from signaling.http.runner import Deadlines, Gates, HttpRunner
from signaling.joining import Joining, figures_of, own_address, url_of
from signaling.links.hearing import Hearing
from signaling.links.identity import LinkIdentity
from signaling.links.link import Link
from signaling.links.links import Links
from signaling.links.listening import LinkListener
from signaling.links.refusals import LinkRefusal
from signaling.metrics import Metrics
from signaling.rest.api import RestApi
from signaling.rest.call import Services
from signaling.rest.homeward import Arrived, PassedOn
from signaling.rest.whip import WhipGate
from signaling.sessions.directory import SessionDirectory
from signaling.websocket.elsewhere import Elsewhere
from signaling.websocket.guests import Guests
from signaling.websocket.slots import Seating

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NodeParts:
    directory: SessionDirectory
    seating: Seating
    clock: Clock
    metrics: Metrics


class Clustered:
    """`elsewhere` slots clients at other nodes, `homeward` passes requests of HTTP on to them."""

    def __init__(
        self,
        cluster: Cluster,
        identity: LinkIdentity,
        name: str,
        parts: NodeParts,
        bound: Sequence[socket.socket],
    ) -> None:
        self._bound = bound
        self._runner: HttpRunner | None = None
        self._cluster, self._identity, self._parts = cluster, identity, parts
        metrics = parts.metrics
        hearing = Hearing(cluster)
        self._links = Links(hearing, identity, name, self._count)
        self.elsewhere = Elsewhere(cluster, self._links, parts.clock, metrics, self._count)
        self.homeward = PassedOn(cluster, self._links, parts.clock, metrics)
        self._listener = LinkListener(
            hearing, self._links.own_hello, self._count, self._welcome_link
        )
        self._guests: dict[Link, Guests] = {}
        self._asking: set[asyncio.Task[None]] = set()
        parts.directory.on_use = self._note_use
        identity.trust(row.certificate for row in cluster.nodes() if row.certificate)
        cluster.watch(self._on_change)

    @property
    def arrived(self) -> Arrived:
        """For requests that other nodes passed on."""
        return Arrived(self._cluster, self._count)

    async def listen(self, whip: WhipGate, services: Services, http: HttpSettings) -> None:
        """Begins to serve other nodes. Errors: `OSError` when another process was quicker."""
        rest = RestApi(services, http, self.arrived)
        others = web.route("*", r"/{path:[\s\S]*}", rest.handle)
        app = self._listener.application((*whip.routes(self.arrived), others))
        self._runner = HttpRunner(app, Deadlines.of(http), Gates(connections=self._gate(http)))
        await self._runner.listen_on(self._bound, self._identity.serving)

    def drain(self) -> None:
        """No session begins here any more."""
        self._cluster.drain()

    def leave(self) -> None:
        """This node goes: clients whose sessions live elsewhere come back through another one."""
        self.elsewhere.leave()

    async def close(self) -> None:
        self._listener.close()
        for task in self._asking:
            task.cancel()
        await self._links.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _gate(self, http: HttpSettings) -> ConnectionGate:
        """Of strangers: who shows no certificate of a living row stays one."""

        def count(ending: Ending) -> None:
            if ending is Ending.TLS_FAILED:
                self._count(LinkRefusal.CERTIFICATE)
            else:
                self._parts.metrics.connections_ended.labels(ending).inc()

        return ConnectionGate(http, self._parts.clock, count)

    # --- links of others ---------------------------------------------------------------------

    def _welcome_link(self, link: Link) -> None:
        parts = self._parts
        guests = Guests(link, parts.seating, self._cluster, parts.metrics, self._count)
        self._guests[link] = guests
        detach_all = link.on_end

        def ended() -> None:
            self._guests.pop(link, None)
            detach_all()
            self._note_links()
            self._ask_for(link.peer.incarnation)

        link.on_end = ended
        self._note_links()

    def _ask_for(self, incarnation: int) -> None:
        """Whether a node whose link has ended is there: if its port refuses, it is gone, and
        nobody has to wait for its silence."""

        async def ask() -> None:
            with contextlib.suppress(DomainError):
                await self._links.to(incarnation)

        if self._cluster.node(incarnation) is None:
            return
        task = asyncio.get_running_loop().create_task(ask())
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    # --- what changes in the cluster -----------------------------------------------------------

    def _on_change(self, change: Change) -> None:
        match change:
            case NodeCame(node):
                if node.certificate:
                    self._identity.trust([node.certificate])
            case NodeDied(incarnation):
                self._links.tidy()
                self._end_guests(incarnation)
            case Superseded(session_id=session):
                self._parts.directory.let_go(session)
            case Renewed(home):
                for guests in list(self._guests.values()):
                    guests.let_go(home.session_id)
            case Reborn():
                # Links name the life that has ended.
                self._listener.close()
                self._links.end_all()

    def _end_guests(self, incarnation: int) -> None:
        for link in list(self._guests):
            if link.peer.incarnation == incarnation:
                link.end()

    def _note_use(self, session_id: str, is_used: bool) -> None:
        self._cluster.occupied(session_id, is_occupied=is_used)

    def _note_links(self) -> None:
        self._parts.metrics.links.labels("in").set(len(self._guests))

    def _count(self, why: LinkRefusal) -> None:
        self._parts.metrics.links_refused.labels(why.value).inc()


class Alone:
    """A server without others."""

    elsewhere = None
    homeward = None

    async def listen(self, whip: WhipGate, services: Services, http: HttpSettings) -> None:
        """Nobody comes."""

    def drain(self) -> None:
        """Nobody chooses it."""

    def leave(self) -> None:
        """No client is sent away."""


@contextlib.asynccontextmanager
async def clustered(
    joining: Joining | None,
    authenticator: Authenticator,
    directory: SessionDirectory,
    clock: Clock,
    metrics: Metrics,
) -> AsyncIterator[Clustered | Alone]:
    """A node that has joined, and listens for other nodes from `listen` on.

    Errors: `OSError` when the address cannot be bound, and those of joining."""
    if joining is None:
        yield Alone()
        return
    parts = NodeParts(directory, Seating(authenticator, directory, metrics), clock, metrics)
    identity = LinkIdentity()
    try:
        bound = await bound_sockets(joining.host, joining.port)
    except OSError as cause:
        raise OSError(
            cause.errno,
            f"the port for other nodes, {joining.host}:{joining.port}, cannot be used:"
            f" {reason_of(cause)}. Stop what uses it, or set [cluster] link_port",
        ) from cause
    url = joining.url or url_of(await _reached_at(joining), bound[0].getsockname()[1])
    async with contextlib.AsyncExitStack() as stack:
        for each in bound:
            stack.callback(each.close)
        cluster = await stack.enter_async_context(joining.join(url, identity.certificate))
        metrics.show(partial(figures_of, cluster))
        node = Clustered(cluster, identity, joining.name, parts, bound)
        stack.push_async_callback(node.close)
        yield node


async def _reached_at(joining: Joining) -> str:
    """Errors: `OSError`."""
    try:
        return await asyncio.to_thread(own_address, joining.host, joining.database_host)
    except OSError as cause:
        raise OSError(
            cause.errno,
            f"no address for other nodes: {reason_of(cause)}. Set [cluster] link_url",
        ) from cause


def seen_from(node: Clustered | None) -> tuple[Elsewhere | None, PassedOn | None]:
    """What a gate has of other nodes; nothing where there are none."""
    return (None, None) if node is None else (node.elsewhere, node.homeward)
