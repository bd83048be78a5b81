"""The sockets of a SIP call, which the server opens and its process uses."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from config.sip_settings import SipSettings
from sfu.egress.sip_jobs import Reach
from sfu.egress.sip_uri import Uri

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Sockets:
    """`host`: this end, as the other one reaches it. `peer`: where the first request goes."""

    signalling: socket.socket
    rtp: socket.socket
    rtcp: socket.socket
    host: str
    peer: Place

    @property
    def sip_port(self) -> int:
        return int(self.signalling.getsockname()[1])

    @property
    def rtp_port(self) -> int:
        return int(self.rtp.getsockname()[1])

    def close(self) -> None:
        self.signalling.close()
        self.rtp.close()
        self.rtcp.close()


async def open_sockets(target: Uri, reach: Reach, settings: SipSettings) -> Sockets:
    """Errors: `OSError`."""
    port = target.port_or_default
    signalling: socket.socket | None = None
    try:
        if target.transport == "udp":
            peer = (await reach.addresses(target.host, port))[0]
            own = settings.host or _own_address(peer)
            signalling = _datagrams(own, 0)
        else:
            signalling = await reach.dial(target.host, port)
            peer = signalling.getpeername()[:2]
            own = signalling.getsockname()[0]
        rtp, rtcp = await asyncio.to_thread(_media_sockets, settings.host or own, settings)
    except BaseException:
        if signalling is not None:
            signalling.close()
        raise
    return Sockets(signalling, rtp, rtcp, settings.public_ip or own, (peer[0], peer[1]))


def _own_address(peer: Place) -> str:
    """That with which the system would send there. Errors: `OSError`."""
    with _socket(peer[0]) as probe:
        probe.connect(peer)
        return str(probe.getsockname()[0])


@contextmanager
def _socket(host: str) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        yield made


def _datagrams(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def _media_sockets(host: str, settings: SipSettings) -> tuple[socket.socket, socket.socket]:
    """Of RTP at the first even port that is free with the next one, and of RTCP there. Errors:
    `OSError`."""
    first = settings.first_port + settings.first_port % 2
    for port in range(first, settings.last_port, 2):
        with suppress(OSError):
            rtp = _datagrams(host, port)
            try:
                return rtp, _datagrams(host, port + 1)
            except OSError:
                rtp.close()
    raise OSError("no two ports are free for RTP and RTCP")
