"""Serves the live playlists of a node until its server is gone.

Its orders come in one line on standard input; on standard output it names each broadcast that
somebody watches, a line for each.
"""

import asyncio
import socket
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
from signaling.http.served_certificate import CHECK_S, ServedCertificate
from signaling.logs import configure_logs

REQUESTS_PER_S_OF_CONNECTION = 250


class Orders(Struct, frozen=True):
    """`sockets`: descriptors that are bound. `viewers_max`: connections at a time. `tls_check_s`:
    between two looks at the files of the certificate."""

    root: str
    sockets: list[int]
    viewers_max: int
    trusted_proxies: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    tls_check_s: float = CHECK_S
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
    certificate = _certificate(orders)
    await runner.listen_on(bound, None if certificate is None else certificate.listening)
    _say("ready")
    chores = [asyncio.create_task(serving.forget_gone())]
    if certificate is not None:
        chores.append(asyncio.create_task(certificate.watch(orders.tls_check_s)))
    await asyncio.to_thread(sys.stdin.buffer.read)  # until the server is gone
    for chore in chores:
        chore.cancel()
    await runner.cleanup()


def _certificate(orders: Orders) -> ServedCertificate | None:
    """Read again by this process itself: its server has no way to tell it anything."""
    if not orders.tls_certificate:
        return None
    return ServedCertificate(orders.tls_certificate, orders.tls_key, None)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)))
