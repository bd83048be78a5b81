"""One link: a WebSocket between two nodes that have shown their certificates to each other.

Both ends say `hello` first. Then messages go both ways in order, a ping each second, and whoever
hears nothing for two of them takes the link for lost. What waits to be sent is bounded: a node that
does not read loses the link, and its clients come back through another one.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from aiohttp import WSMessage, WSMsgType

from signaling.cluster.engine import NodeRow
from signaling.domain.errors import ErrorCode, PeerProtocolError, error
from signaling.links import messages as k
from signaling.links.envelope import Reader, write
from signaling.links.refusals import CLOSE_CODES, LinkRefusal

log = structlog.get_logger(__name__)

PING_S = 1.0
SILENT_PINGS = 2
"""After so many of our own in a row without a word the link is lost. Turns of our own loop count,
not its clock: after a pause of this process, what has come meanwhile is read first."""
HELLO_S = 2.0
MAX_WAITING_BYTES = 33_554_432
"""Of what waits to be sent: a large session's `welcome` to some dozens of clients."""
ANSWER_S = 5.0

Count = Callable[[LinkRefusal], None]


class LinkSocket(Protocol):
    """What the library's WebSockets of servers and of clients have in common."""

    async def receive(self, timeout: float | None = None) -> WSMessage: ...  # noqa: ASYNC109
    async def send_bytes(self, data: bytes, compress: int | None = None) -> None: ...
    async def close(self, *, code: int = ..., message: bytes = ...) -> bool: ...


@dataclass(frozen=True, slots=True)
class Ends:
    """What a link is between: our own `hello`, the other node, and what it may say."""

    own: k.Hello
    peer: NodeRow
    reader: Reader


class Link:
    """`handle` is called with each message but those of the link itself, `on_end` once."""

    def __init__(
        self,
        socket: LinkSocket,
        ends: Ends,
        count: Count,
    ) -> None:
        self._socket, self._ends, self._count = socket, ends, count
        self.handle: Callable[[k.LinkMessage], None] = _ignore
        self.on_end: Callable[[], None] = _nothing
        self.peer = ends.peer
        self.is_open = True
        self._queue: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._numbers = 0
        self._silent = 0
        self._asked: dict[int, asyncio.Future[k.Joined | k.Refused]] = {}
        self._ending: LinkRefusal | None = None

    async def greet(self) -> None:
        """Says `hello` and checks the other's. Errors: `invalid_message`, after which the link is
        closed, with a code that says why, and counted."""
        await self._socket.send_bytes(write(self._ends.own))
        try:
            async with asyncio.timeout(HELLO_S):
                frame = await self._socket.receive()
            hello = self._read(frame)
        except (TimeoutError, PeerProtocolError):
            hello = None
        refusal = self._refusal(hello)
        if refusal is not None:
            await self._close(refusal)
            raise error(ErrorCode.INVALID_MESSAGE, "The other node is not the one it should be.")

    def _refusal(self, hello: k.LinkMessage | None) -> LinkRefusal | None:
        if not isinstance(hello, k.Hello):
            return LinkRefusal.MESSAGE
        if hello.proto != k.PROTOCOL:
            return LinkRefusal.VERSION
        return None if hello.incarnation == self.peer.incarnation else LinkRefusal.INCARNATION

    async def run(self) -> None:
        """Carries messages until the link ends."""
        parts = (self._receive(), self._send(), self._ping())
        tasks = [asyncio.ensure_future(one) for one in parts]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close(self._ending)

    def send(self, message: k.LinkMessage) -> None:
        """Sends in order, soon. On a link that has ended nothing happens."""
        if not self.is_open:
            return
        data = write(message)
        self._queue.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self.end(LinkRefusal.FULL)
        self._wake.set()

    async def join(self, **members: Any) -> None:  # noqa: ANN401 - those of `Join`
        """Errors: those of joining; `home_away` when the link ends, or no answer comes."""
        self._numbers += 1
        number = self._numbers
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self.send(k.Join(id=number, **members))
        try:
            async with asyncio.timeout(ANSWER_S):
                said = await answer
        except TimeoutError:
            raise error(ErrorCode.HOME_AWAY) from None
        finally:
            self._asked.pop(number, None)
        if isinstance(said, k.Refused):
            raise RefusedByHome(said)

    def end(self, why: LinkRefusal | None = None) -> None:
        """Ends the link; `why` goes to the other end and is counted."""
        self._ending = self._ending or why
        self._end()

    def _end(self) -> None:
        if not self.is_open:
            return
        self.is_open = False
        self._wake.set()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(error(ErrorCode.HOME_AWAY))
        self.on_end()

    async def _send(self) -> None:
        while self.is_open:
            await self._wake.wait()
            self._wake.clear()
            while self._queue and self.is_open:
                data = self._queue.popleft()
                try:
                    await self._socket.send_bytes(data)
                except (ConnectionError, RuntimeError):
                    return
                self._waiting_bytes -= len(data)

    async def _ping(self) -> None:
        while self.is_open:
            await asyncio.sleep(PING_S)
            self._silent += 1
            if self._silent > SILENT_PINGS:
                self.end(LinkRefusal.SILENT)
                return
            self.send(k.Ping())

    async def _receive(self) -> None:
        while self.is_open:
            frame = await self._socket.receive()
            self._silent = 0
            try:
                message = self._read(frame)
            except PeerProtocolError:
                self.end(LinkRefusal.MESSAGE)
                return
            if message is None:
                return
            self._take(message)

    def _read(self, frame: WSMessage) -> k.LinkMessage | None:
        """None: the socket has ended. Errors: `invalid_message`, `message_too_large`."""
        if frame.type is WSMsgType.BINARY:
            return self._ends.reader.read(frame.data)
        if frame.type in (WSMsgType.TEXT, WSMsgType.ERROR):
            raise error(ErrorCode.INVALID_MESSAGE)
        return None

    def _take(self, message: k.LinkMessage) -> None:
        if isinstance(message, k.Joined | k.Refused):
            answer = self._asked.get(message.re)
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif not isinstance(message, k.Ping | k.Hello):
            try:
                self.handle(message)
            except Exception:
                log.exception("message of a link failed", kind=type(message).__name__)

    async def _close(self, why: LinkRefusal | None) -> None:
        if why is not None:
            self._count(why)
            log.warning("link ended", node=self.peer.name, reason=why.value)
        code = 1000 if why is None else CLOSE_CODES.get(why, 4400)
        with contextlib.suppress(ConnectionError, RuntimeError, TimeoutError):
            async with asyncio.timeout(HELLO_S):
                await self._socket.close(code=code)


class RefusedByHome(Exception):  # noqa: N818 - an answer
    """The home's answer to a `join`: `code`, its words, and a higher epoch if it knows one."""

    def __init__(self, said: k.Refused) -> None:
        super().__init__(said.code)
        self.code, self.message, self.epoch = said.code, said.message, said.e


def _ignore(_message: k.LinkMessage) -> None:
    """Before somebody listens."""


def _nothing() -> None:
    """Before somebody wants to know."""
