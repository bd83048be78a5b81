"""Ports for servers that are told where to listen, and are started again there.

The kernel gives its ephemeral ports to every connection that leaves this machine and to every
socket that is bound to port 0. A port that was free a moment ago is soon somebody's, so these come
from below that range.
"""

import contextlib
import random
import socket
from pathlib import Path

LOWEST = 10_000


def free_port() -> int:
    """A port of 127.0.0.1 that neither UDP nor TCP uses, and that the kernel gives to nobody."""
    first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(LOWEST, first_ephemeral)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                probe = probes.enter_context(socket.socket(socket.AF_INET, kind))
                probe.bind(("127.0.0.1", port))
            return port
