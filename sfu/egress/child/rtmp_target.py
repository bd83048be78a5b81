"""One RTMP target of a broadcast: a thread with a queue, so that a slow one costs nobody else."""

import encodings.idna  # noqa: F401 - names are resolved where no module can be loaded any more
import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Literal
from urllib.parse import urlsplit

from sfu.egress.child.rtmp_client import RtmpAddress, RtmpClient
from sfu.egress.child.rtmp_queue import PacketQueue, Retries
from sfu.egress.child.tracks import Packet, Tracks
from sfu.egress.live_outputs import RtmpTarget
from sfu.target_policy import TargetPolicy

CONNECT_S = 5.0
"""For each address of a name; also for the handshake and for the answer to `publish`."""
STUCK_S = 5.0
"""A server that reads nothing for this time is as good as gone."""
GOODBYE_S = 2.0
_READ_BYTES = 65_536
_SEND_BYTES = 262_144
_RANDOM_BYTES = 1_528
PORTS = {"rtmp": 1_935, "rtmps": 443}

Status = Literal["connecting", "live", "offline", "error"]
Report = Callable[[Status], None]


class RtmpOutput:
    """`report` is called in the output's thread, with each change of its status."""

    def __init__(
        self,
        target: RtmpTarget,
        tracks: Tracks,
        policy: TargetPolicy,
        report: Report,
        give_up_s: float = 60.0,
    ) -> None:
        self._target = target
        self._tracks = tracks
        self._policy = policy
        self._report = report
        self._retries = Retries(give_up_s)
        self._queue = PacketQueue(tracks)
        self._lock = threading.Lock()
        self._wake_in, self._wake_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ending = threading.Event()
        self._status: Status | None = None
        self._thread = threading.Thread(target=self._run, name="rtmp", daemon=True)

    @property
    def lost_groups(self) -> int:
        return self._queue.lost_groups

    def start(self) -> None:
        self._thread.start()

    def put(self, packet: Packet) -> None:
        """Never waits."""
        with self._lock:
            self._queue.put(packet)
        self._wake()

    def end(self, within_s: float = GOODBYE_S) -> None:
        """What waits is sent, as far as the time allows."""
        self._ending.set()
        self._wake()
        self._thread.join(within_s)

    def _wake(self) -> None:
        with suppress(OSError):  # full: it wakes up anyway
            os.write(self._wake_out, b"\x00")

    def _run(self) -> None:
        self._say("connecting")
        while not self._ending.is_set():
            # The text of a failure may name what is secret; the status says enough. Whatever it
            # is, it is this target's: the broadcast goes on.
            with suppress(Exception):
                self._one_connection()
            if self._ending.is_set():
                break
            wait_s = self._retries.failed(time.monotonic())
            if wait_s is None:
                self._say("error")
                return
            self._say("offline" if self._status == "live" else self._status or "connecting")
            self._ending.wait(wait_s)
        self._say("offline")

    def _say(self, status: Status) -> None:
        if status != self._status:
            self._status = status
            self._report(status)

    def _one_connection(self) -> None:
        """Errors: `OSError`, `RtmpError`."""
        with _connected(self._target.server_url, self._policy) as connection:
            connection.setblocking(False)
            client = RtmpClient(address_of(self._target), self._tracks, os.urandom(_RANDOM_BYTES))
            _Exchange(self, connection, client).run()

    # --- used by the exchange -------------------------------------------------------------------

    def is_ending(self) -> bool:
        return self._ending.is_set()

    def went_live(self) -> None:
        with self._lock:
            self._queue.restart()
        self._retries.succeeded()
        self._say("live")

    def take(self) -> Packet | None:
        with self._lock:
            return self._queue.take()

    @property
    def wake_in(self) -> int:
        return self._wake_in


class _Exchange:
    """One connection, from the handshake until it ends."""

    def __init__(self, output: RtmpOutput, connection: socket.socket, client: RtmpClient) -> None:
        self._output = output
        self._connection = connection
        self._client = client
        self._unsent = bytearray()
        self._was_live = False
        self._moved_s = time.monotonic()
        self._said_goodbye = False

    def run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._output.wake_in, selectors.EVENT_READ)
            selector.register(self._connection, selectors.EVENT_READ)
            while not (self._said_goodbye and not self._unsent):
                self._fill()
                self._send()
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
                selector.modify(self._connection, events)
                for key, _ in selector.select(1.0):
                    if key.fileobj == self._output.wake_in:
                        _drain(self._output.wake_in)
                self._receive()
                self._check_progress()

    def _fill(self) -> None:
        self._unsent += self._client.take()
        if not self._client.is_live:
            return
        if not self._was_live:
            self._was_live = True
            self._output.went_live()
        while len(self._unsent) < _SEND_BYTES and (packet := self._output.take()) is not None:
            self._client.publish(packet)
            self._unsent += self._client.take()
        if self._output.is_ending() and not self._unsent and not self._said_goodbye:
            self._said_goodbye = True
            self._client.end()
            self._unsent += self._client.take()

    def _send(self) -> None:
        if not self._unsent:
            return
        with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = self._connection.send(self._unsent)
            del self._unsent[:sent]
            if sent:
                self._moved_s = time.monotonic()

    def _receive(self) -> None:
        try:
            data = self._connection.recv(_READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        if not data:
            raise ConnectionResetError("the server has closed the connection")
        self._client.handle(data)
        if not self._client.is_live:
            self._moved_s = time.monotonic()

    def _check_progress(self) -> None:
        """A live stream that nobody sends media for is not stuck."""
        now_s = time.monotonic()
        if self._client.is_live and not self._unsent:
            self._moved_s = now_s
        if now_s - self._moved_s > (STUCK_S if self._client.is_live else CONNECT_S):
            raise TimeoutError("the server does not answer")
        if self._output.is_ending() and not self._client.is_live:
            raise TimeoutError("the broadcast has ended")


def _drain(descriptor: int) -> None:
    with suppress(BlockingIOError):
        os.read(descriptor, 65_536)


def address_of(target: RtmpTarget) -> RtmpAddress:
    parts = urlsplit(target.server_url)
    app = parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
    return RtmpAddress(target.server_url, app, target.stream_name)


def _connected(url: str, policy: TargetPolicy) -> socket.socket:
    """To the first address that is allowed and answers. Errors: `OSError`."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    policy.check_host(host)
    failure = OSError("the server has no address that broadcasts may go to")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, _, _, _, address in found:
        if not policy.permits(str(address[0])):
            continue
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_S)
            connection.connect(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if parts.scheme == "rtmps":
                return _over_tls(connection, host)
        except OSError as cause:
            connection.close()
            failure = cause
        else:
            return connection
    raise failure


def _over_tls(connection: socket.socket, host: str) -> socket.socket:
    """The certificate is checked against the system's authorities, and the name of the server."""
    return ssl.create_default_context().wrap_socket(connection, server_hostname=host)
