"""Listening sockets of HTTP: each connection gets its place before its first byte is read.

The loop's own servers begin the TLS handshake of whatever they accept, and tell nobody.
"""

import asyncio
import errno
import select
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from signaling.http.connection_gate import ConnectionGate, Ending, Place

log = structlog.get_logger(__name__)

ACCEPTED_AT_ONCE = 64
"""Connections accepted before others have their turn."""
SHORTAGE_S = 0.1
"""How long a listener without a free descriptor pauses: pending connections would wake it without
end."""
ROOM_S = 0.01
"""The same where somebody gave way: their sockets are closed by then."""
LOG_INTERVAL_S = 10.0
"""How often a shortage is logged."""
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NO_SUCH_FAMILY = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

Protocol = Callable[[Place | None, float], asyncio.Protocol]
"""Of a place and the time of the loop at which it was given."""


class Reception:
    """Makes connections of accepted sockets, with TLS where `tls` is given."""

    def __init__(
        self,
        protocol: Protocol,
        gate: ConnectionGate | None,
        tls: ssl.SSLContext | None,
        handshake_s: float,
    ) -> None:
        self._protocol, self._gate, self._tls = protocol, gate, tls
        self._handshake_s = handshake_s
        self._arriving: set[asyncio.Task[None]] = set()

    def take(self, accepted: socket.socket, remote: str) -> None:
        """Takes a socket over; without a place for it, it is closed."""
        arrival = _Arrival(accepted, self)
        if self._gate is not None:
            arrival.place = self._gate.take(remote, arrival.end)
            if arrival.place is None:
                accepted.close()
                return
        arrival.task = task = asyncio.get_running_loop().create_task(arrival.run())
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    def make_room(self) -> bool:
        """False: nobody gave way."""
        return self._gate is not None and self._gate.make_room()

    async def connect(
        self, accepted: socket.socket, place: Place | None, accepted_s: float
    ) -> None:
        """Errors: `OSError` when the handshake fails or takes too long."""
        await asyncio.get_running_loop().connect_accepted_socket(
            partial(self._protocol, place, accepted_s),
            accepted,
            ssl=self._tls,
            ssl_handshake_timeout=None if self._tls is None else self._handshake_s,
        )

    def failed(self) -> None:
        if self._gate is not None:
            self._gate.count(Ending.TLS_FAILED)

    def close(self) -> None:
        for task in list(self._arriving):
            task.cancel()


class _Arrival:
    """A socket until it is a connection."""

    __slots__ = ("_accepted_s", "_began", "_reception", "_socket", "place", "task")

    def __init__(self, accepted: socket.socket, reception: Reception) -> None:
        self._socket, self._reception = accepted, reception
        self._began = False
        self._accepted_s = asyncio.get_running_loop().time()
        self.place: Place | None = None
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        self._began = True
        try:
            await self._reception.connect(self._socket, self.place, self._accepted_s)
        except OSError:
            self._leave()
            self._reception.failed()
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        if self.place is not None:
            self.place.leave()

    def end(self) -> None:
        if not self._began:
            self._socket.close()  # later it is the transport's
        if self.task is not None:
            self.task.cancel()


class Listener:
    """Accepts on its sockets from the start until it is closed."""

    def __init__(self, sockets: Sequence[socket.socket], reception: Reception) -> None:
        self._loop = asyncio.get_running_loop()
        self.sockets = tuple(sockets)
        self._reception = reception
        self._resting: dict[socket.socket, asyncio.TimerHandle] = {}
        self._logged_s = -LOG_INTERVAL_S
        for listening in self.sockets:
            self._listen(listening)

    def _listen(self, listening: socket.socket) -> None:
        self._resting.pop(listening, None)
        self._loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as cause:
                if cause.errno not in _SHORTAGES:
                    raise
                if _is_waited_at(listening):
                    self._rest(listening, cause)
                return
            accepted.setblocking(False)
            self._reception.take(accepted, address[0])

    def _rest(self, listening: socket.socket, cause: OSError) -> None:
        if self._loop.time() >= self._logged_s + LOG_INTERVAL_S:
            self._logged_s = self._loop.time()
            log.warning("no connection can be accepted", reason=cause.strerror)
        self._loop.remove_reader(listening)
        rest_s = ROOM_S if self._reception.make_room() else SHORTAGE_S
        self._resting[listening] = self._loop.call_later(rest_s, self._listen, listening)

    def close(self) -> None:
        """Connections that are there go on; handshakes end."""
        for timer in self._resting.values():
            timer.cancel()
        for listening in self.sockets:
            self._loop.remove_reader(listening)
            listening.close()
        self.sockets = ()
        self._reception.close()


def _is_waited_at(listening: socket.socket) -> bool:
    """The system looks for a descriptor first, and only then for somebody who waits: after the last
    descriptor was given away it reports a shortage to nobody's harm."""
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    return bool(poll.poll(0))


async def bound_sockets(host: str, port: int) -> list[socket.socket]:
    """One for each address of the host; `::` takes both families, as for media. Until they listen,
    the system refuses whoever connects.

    Errors: `OSError`; then nothing stays open.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    opened: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in dict.fromkeys((row[0], row[4]) for row in found):
            try:
                opened.append(_bound(family, address, both=host == "::"))
            except OSError as cause:
                if cause.errno not in _NO_SUCH_FAMILY:
                    raise
                missing = cause
    except BaseException:
        for bound in opened:
            bound.close()
        raise
    if not opened:
        raise missing or OSError(errno.EADDRNOTAVAIL, "the host has no address")
    return opened


def reason_of(cause: OSError) -> str:
    """Without the address, which Python repeats in words of its own."""
    return (cause.strerror or str(cause)).partition(" (while")[0]


def _bound(
    family: int,
    address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
    *,
    both: bool,
) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A restart must not wait for connections of the process before.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        opened.bind(address)
        opened.setblocking(False)
    except BaseException:
        opened.close()
        raise
    return opened
