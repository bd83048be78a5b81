"""The outgoing side of one WebSocket and the limits of its send queue."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import WSCloseCode, web

from signaling.domain.errors import ERRORS, SERVICE_RESTART, ErrorCode
from signaling.http.websocket_connection import WebSocketConnection
from signaling.protocol import messages as m
from signaling.protocol.codec import Encoding
from signaling.sessions.message_sink import MOVED, EncodedBatch, EncodedMessage, frame_header

SLOW_READER_S = 10.0
"""How long the oldest message may wait for a client to read before its WebSocket is dropped."""
TRANSPORT_BYTES = 16_384
"""Bytes queued in the transport, as a copy per client; the rest is queued in shared frames."""
BROADCAST_SHARE = 4
"""For signals the limit is a quarter of the queue: they can be sent without end, to thousands of
clients that do not read."""
_PING = 0x89
_PONG = 0x8A
AWAY = ERRORS[ErrorCode.HOME_AWAY].close_code
"""Clients come back at once, through any node."""
CLOSE_CODES = {
    "clientDisconnected": WSCloseCode.OK,
    "forceDisconnected": 4403,
    "networkDisconnected": 4408,
    "serverShutdown": SERVICE_RESTART,
}


@dataclass(slots=True)
class SendQueues:
    """Limits of the send queues of all clients. `dropped` is called with the reason for a drop."""

    limit_bytes: int
    total_limit_bytes: int
    dropped: Callable[[str], None]
    total: int = field(default=0)


class WebSocketSink:
    """Writes each message as one frame at once; the loop sends the frames of one turn together.
    In a full session this is most of the cost of signaling, so there is no task, and a queue only
    for clients that do not read. The queues share the frames of broadcasts.
    """

    def __init__(
        self,
        ws: web.WebSocketResponse,
        connection: WebSocketConnection,
        transport: asyncio.Transport,
        encoding: Encoding,
        queues: SendQueues,
    ) -> None:
        self._ws = ws
        self._connection = connection
        self._transport = transport
        self._encoding = encoding
        self._queues = queues
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._counted = 0
        self._written = 0
        self._reading_check: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[bool] | None = None
        self.sent = 0
        transport.set_write_buffer_limits(high=TRANSPORT_BYTES)
        connection.on_writable = self._flush

    def send(self, outgoing: EncodedMessage) -> None:
        if self._gone():
            return
        self._put(outgoing.framed(self._encoding))
        self.sent += 1
        if self._connection.writing_paused:
            self._check_limits(isinstance(outgoing.message, m.SignalReceived))

    def send_batch(self, batch: EncodedBatch) -> None:
        if self._gone():
            return
        self._put(batch.framed(self._encoding))
        self.sent += len(batch.messages)
        if self._connection.writing_paused:
            self._check_limits(broadcast=False)

    def relay(self, frames: bytes, count: int, *, broadcast: bool) -> None:
        """Sends `count` frames that another node has made."""
        if self._gone():
            return
        self._put(frames)
        self.sent += count
        if self._connection.writing_paused:
            self._check_limits(broadcast)

    def ping(self) -> None:
        """Asks the other end's WebSocket, not its program, whether it is there."""
        self._control(_PING, b"")

    def pong(self, payload: bytes) -> None:
        """Answers a WebSocket ping frame."""
        self._control(_PONG, payload)

    def _control(self, kind: int, payload: bytes) -> None:
        if not self._gone():
            self._put(frame_header(kind, len(payload)) + payload)
            if self._connection.writing_paused:
                self._check_limits(broadcast=False)

    def close(self, reason: str) -> None:
        if reason == MOVED:
            self.end(AWAY)
        elif self._closing is None:
            goodbye = m.Disconnected(reason=reason)  # type: ignore[arg-type]
            self.send(EncodedMessage(goodbye))
            self.end(CLOSE_CODES[reason])

    def end(self, code: int) -> None:
        """Closes the WebSocket after all queued messages; later ones are discarded."""
        if self._closing is None:
            while self._queue and not self._transport.is_closing():
                self._transport.write(self._queue.popleft())
            self._queue.clear()
            self._queued = 0
            self._closing = asyncio.create_task(self._ws.close(code=code))

    async def finish(self) -> None:
        """Sends the last messages if the client still reads, then releases the queue."""
        self.end(WSCloseCode.OK)
        if self._closing is not None:
            with contextlib.suppress(asyncio.CancelledError, ConnectionError, TimeoutError):
                async with asyncio.timeout(SLOW_READER_S):
                    await self._closing
        if self._reading_check is not None:
            self._reading_check.cancel()
        self._connection.on_writable = None
        self._queue.clear()
        self._count(0)

    def _gone(self) -> bool:
        return self._closing is not None or self._ws.closed or self._transport.is_closing()

    def _put(self, frame: bytes) -> None:
        self._written += len(frame)
        if self._connection.writing_paused or self._queue:
            self._queue.append(frame)
            self._queued += len(frame)
        else:
            self._transport.write(frame)

    def _flush(self) -> None:
        """The client has read: writes the queued frames, in order."""
        while self._queue and not self._connection.writing_paused:
            frame = self._queue.popleft()
            self._queued -= len(frame)
            self._transport.write(frame)
        self._count(self._waiting() if self._queue else 0)

    def _waiting(self) -> int:
        return self._transport.get_write_buffer_size() + self._queued

    def _count(self, waiting: int) -> None:
        self._queues.total += waiting - self._counted
        self._counted = waiting

    def _check_limits(self, broadcast: bool) -> None:
        waiting = self._waiting()
        self._count(waiting)
        limit = self._queues.limit_bytes // (BROADCAST_SHARE if broadcast else 1)
        if waiting > limit:
            self._drop("slow_reader")
        elif self._queues.total > self._queues.total_limit_bytes:
            self._drop("queues_full")
        elif self._reading_check is None:
            self._check_later()

    def _drop(self, reason: str) -> None:
        self._queue.clear()
        self._queued = 0
        self._count(0)
        self._queues.dropped(reason)
        self._transport.abort()

    def _check_later(self) -> None:
        """Drops the client unless it reads the currently queued bytes in time."""
        loop = asyncio.get_running_loop()
        self._reading_check = loop.call_later(SLOW_READER_S, self._check_reading, self._written)

    def _check_reading(self, written_then: int) -> None:
        self._reading_check = None
        waiting = self._waiting()
        if self._written - waiting < written_then:
            self._drop("slow_reader")
        elif waiting:
            self._check_later()
