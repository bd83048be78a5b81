"""Serves the live playlists of a node until its server is gone.

Its orders come in one line on standard input; on standard output it names each broadcast that
somebody watches, a line for each.
"""

import asyncio
import socket
import ssl
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from config.settings import HttpSettings
from signaling.clock import SystemClock
from signaling.hls.folders import Folders
from signaling.hls.serving import HlsServing
from signaling.http.connection_gate import ConnectionGate
from signaling.http.request_gate import RequestGate
from signaling.http.runner import Deadlines, Gates, HttpRunner
from signaling.logs import configure_logs

REQUESTS_PER_S_OF_CONNECTION = 250


class Orders(Struct, frozen=True):
    """`sockets`: descriptors that are bound. `viewers_max`: connections at a time."""

    root: str
    sockets: list[int]
    viewers_max: int
    trusted_proxies: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    log_level: str = "info"
    log_format: str = "json"


async def serve(orders: Orders) -> None:
    configure_logs(orders.log_level, orders.log_format)
    # Many viewers share a network, and a CDN's edges have but a few: only connections are limited.
    http = HttpSettings(
        requests_per_s_of_network=0,
        requests_per_s_of_connection=REQUESTS_PER_S_OF_CONNECTION,
        pending_connections=orders.viewers_max,
        pending_connections_of_network=0,
        trusted_proxies=orders.trusted_proxies,
    )
    clock = SystemClock()
    serving = HlsServing(Folders(Path(orders.root)), _say)
    gates = Gates(
        RequestGate(http, clock, lambda _: None), ConnectionGate(http, clock, lambda _: None, [])
    )
    runner = HttpRunner(serving.app(), Deadlines.of(http), gates)
    bound = [socket.socket(fileno=descriptor) for descriptor in orders.sockets]
    for one in bound:
        one.setblocking(False)
    await runner.listen_on(bound, _tls(orders))
    _say("ready")
    forgetting = asyncio.create_task(serving.forget_gone())
    await asyncio.to_thread(sys.stdin.buffer.read)  # until the server is gone
    forgetting.cancel()
    await runner.cleanup()


def _tls(orders: Orders) -> ssl.SSLContext | None:
    if not orders.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(orders.tls_certificate, orders.tls_key or None)
    return context


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)))
