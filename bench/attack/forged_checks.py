"""A viewer that names somebody else as the source of its checks: what does the other one get?"""

import socket
import time
from dataclasses import dataclass

from bench.network.flood import signed_check

_DATAGRAM_BYTES = 2_048
_MEDIA_FIRST = range(128, 192)
"""First bytes of RTP and RTCP (RFC 7983)."""


@dataclass(slots=True)
class Named:
    """What was sent with a third party's address, and what that one got."""

    sent: int = 0
    sent_bytes: int = 0
    got: int = 0
    got_bytes: int = 0
    media: int = 0

    def take(self, datagram: bytes) -> None:
        self.got += 1
        self.got_bytes += len(datagram)
        self.media += datagram[0] in _MEDIA_FIRST


def name_third_party(
    ice: dict[str, str], server: tuple[str, int], seconds: float, per_s: float
) -> Named:
    """Checks leave from the third party's own socket, which stands for a forged source: it answers
    nothing and counts what comes. `per_s` 0: one check alone. Blocks."""
    named = Named()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as third:
        third.bind((server[0], 0))
        third.settimeout(0.005)
        started = time.monotonic()
        while (elapsed := time.monotonic() - started) < seconds:
            while named.sent < 1 + elapsed * per_s:
                check = signed_check(ice)
                third.sendto(check, server)
                named.sent += 1
                named.sent_bytes += len(check)
            try:
                named.take(third.recv(_DATAGRAM_BYTES))
            except TimeoutError:
                continue
    return named
