"""The WebSockets of member services: a customer's own recorders of encrypted sessions.

Whoever comes has the credential of a project, as for REST, and is refused without it before there
is a WebSocket. What it says is checked by `egress.members`.
"""

import asyncio
from contextlib import suppress

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from sfu.egress import member_lines as lines
from sfu.egress.control import LineError
from signaling.authenticator import Authenticator
from signaling.clock import Clock
from signaling.domain.errors import DomainError, ErrorCode, error
from signaling.domain.projects import Project
from signaling.egress.members import Member, Members, MemberSocket
from signaling.http.websocket_connection import WebSocketConnection
from signaling.metrics import Metrics
from signaling.rest.identity import identify

log = structlog.get_logger(__name__)

GOODBYE_S = 1.0
UNSENT_LINES = 1_000
"""Lines that wait for a member. One that does not read them is lost."""


class _Outbox:
    """What waits for one member, and who writes it."""

    def __init__(self, ws: web.WebSocketResponse) -> None:
        self._ws = ws
        self._lines: asyncio.Queue[str | None] = asyncio.Queue(UNSENT_LINES)
        self._closing = False

    def send(self, line: str) -> None:
        if self._closing:
            return
        try:
            self._lines.put_nowait(line)
        except asyncio.QueueFull:
            log.warning("a member service does not read")
            self.close()

    def close(self) -> None:
        """Behind what was sent; at once where that is not read."""
        self._closing = True
        with suppress(asyncio.QueueFull):
            self._lines.put_nowait(None)
            return
        while not self._lines.empty():
            self._lines.get_nowait()
        self._lines.put_nowait(None)

    async def run(self) -> None:
        with suppress(ConnectionError):
            while (line := await self._lines.get()) is not None:
                await self._ws.send_str(line)
            await self._ws.close()


class MemberGate:
    """Handles `GET /v1/member`."""

    def __init__(
        self, authenticator: Authenticator, members: Members, clock: Clock, metrics: Metrics
    ) -> None:
        self._authenticator = authenticator
        self._members = members
        self._clock = clock
        self._metrics = metrics

    def routes(self) -> list[web.RouteDef]:
        return [web.get(lines.PATH, self.handle)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Runs until the WebSocket ends.

        Errors: `credentials_invalid`, `upgrade_invalid`."""
        _, project = await identify(request.headers, self._authenticator, self._metrics)
        ws = web.WebSocketResponse(
            max_msg_size=lines.MAX_LINE_BYTES,
            compress=False,
            timeout=GOODBYE_S,
            heartbeat=lines.HEARTBEAT_S,
        )
        if not ws.can_prepare(request).ok:
            raise error(ErrorCode.UPGRADE_INVALID, "This resource accepts only WebSockets.")
        await ws.prepare(request)
        connection = request.protocol
        if isinstance(connection, WebSocketConnection):
            connection.begin()
            connection.admit()
        outbox = _Outbox(ws)
        writing = asyncio.create_task(outbox.run())
        try:
            await self._serve(ws, project, MemberSocket(outbox.send, outbox.close))
        except LineError as lie:
            self._members.count_lie(lie)
        except DomainError as refused:
            log.warning("a member service is refused", reason=refused.message)
            await ws.close(code=WSCloseCode.TRY_AGAIN_LATER)
        finally:
            writing.cancel()
            with suppress(ConnectionError):
                await ws.close()
        return ws

    async def _serve(
        self, ws: web.WebSocketResponse, project: Project, socket: MemberSocket
    ) -> None:
        """Errors: `LineError`, `no_capacity`."""
        offer = await _first(ws)
        if offer is None:
            return
        member = Member(project.api_key, offer.features, socket, self._clock.monotonic_s())
        self._members.register(member)
        member.send(lines.RegisteredLine())
        try:
            async for message in ws:
                if message.type is not WSMsgType.TEXT:
                    raise LineError("it sends what is no text")
                member.handle(message.data, self._clock.monotonic_s())
                # A burst of one member must not delay the others.
                await asyncio.sleep(0)
        finally:
            self._members.remove(member)


async def _first(ws: web.WebSocketResponse) -> lines.OfferLine | None:
    """None: it went, or said nothing in time. Errors: `LineError`."""
    try:
        async with asyncio.timeout(lines.FIRST_LINE_S):
            message = await ws.receive()
    except TimeoutError:
        return None
    if message.type is not WSMsgType.TEXT:
        return None
    line = lines.read_from_member(message.data)
    if not isinstance(line, lines.OfferLine):
        raise LineError("its first line is no offer")
    return line
