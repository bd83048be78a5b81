"""Becomes another program that has no network but two listening sockets, which this one gives away.

Run as a script, with nothing but the standard library: it is the last Python before the browser.
The program's network is an empty one of its own. What connects to the two ports on its loopback is
accepted by whoever got the sockets, in another network; nothing else is there to connect to.

    jail.py CHANNEL DESCRIPTOR... -- PROGRAM ARGUMENT...

The listening sockets go over the socket CHANNEL. The program has the descriptors as its 3, 4, ….
"""

import array
import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
from pathlib import Path

PORTS = (3128, 3129)
"""Of the loopback of a network where nobody else is."""
BACKLOG = 64
_NEW_USER, _NEW_NETWORK = 0x1000_0000, 0x4000_0000
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914  # SIOCGIFFLAGS, SIOCSIFFLAGS
_UP = 1
_INTERFACE = struct.Struct("16sh22x")
_FIRST = 3
_HIGH = 100


def main(arguments: list[str]) -> None:
    split = arguments.index("--")
    channel, *given = (int(one) for one in arguments[:split])
    program = arguments[split + 1 :]
    enter_empty_network()
    with socket.socket(fileno=channel) as link:
        listeners = [_listener(port) for port in PORTS]
        numbers = array.array("i", [one.fileno() for one in listeners])
        link.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
    for listener in listeners:
        listener.close()
    high = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _HIGH) for number in given]
    for number in given:
        os.close(number)
    for offset, number in enumerate(high):
        os.dup2(number, _FIRST + offset, inheritable=True)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_DFL)
    os.execv(program[0], program)  # noqa: S606 - its arguments are the server's own


def enter_empty_network() -> None:
    """Errors: `OSError` where the system gives users no namespaces."""
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(ctypes.c_int(_NEW_USER | _NEW_NETWORK)) != 0:
        failed = ctypes.get_errno()
        raise OSError(failed, os.strerror(failed))
    # The same user as before: a map of anybody else would take rights that a server lacks.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        asked = fcntl.ioctl(control, _GET_FLAGS, _INTERFACE.pack(b"lo", 0))
        name, flags = _INTERFACE.unpack(asked)
        fcntl.ioctl(control, _SET_FLAGS, _INTERFACE.pack(name, flags | _UP))


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", port))
    listener.listen(BACKLOG)
    return listener


if __name__ == "__main__":
    main(sys.argv[1:])
