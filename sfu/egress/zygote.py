"""A small process that has loaded what records, and forks a child for each job.

Loading takes a part of a second, a fork some milliseconds. There is no codec in it: frames are
written as they came, and what files say of them is read from their parameters. The server starts it
with the first job and speaks with it over one socket: a datagram with descriptors asks for a child,
the answer has the child's pid and a descriptor of the process. It ends when the server does; its
children complete their files first.
"""

import array
import fcntl
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import msgspec

from sfu._native import TapReader
from sfu.egress.child.frames import Reader
from sfu.egress.child.main import CONTROL_DESCRIPTOR, main

NICE = 10
"""Media that is forwarded goes first."""
OOM_SCORE = 500
"""Where memory ends, an archive is cut rather than the server killed."""
OPEN_FILES = 1_024
MAX_DESCRIPTORS = 5
_REQUEST_BYTES = 1_024
_HIGH_DESCRIPTOR = 10


def serve(requests: socket.socket, run: Callable[[], int]) -> None:
    """Forks a child for each request until the server is gone."""
    _restrict()
    gc.freeze()  # what is loaded stays shared with the children
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(
            requests, _REQUEST_BYTES, MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            requests.close()
            _become_child(descriptors, run)
        for descriptor in descriptors:
            os.close(descriptor)
        _answer(requests, message, pid)


def _answer(requests: socket.socket, message: bytes, pid: int) -> None:
    """`number` is the request's. Without a descriptor the child has already ended."""
    answer = msgspec.json.encode({"number": msgspec.json.decode(message)["number"], "pid": pid})
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        requests.send(answer)
        return
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [process]))]
    requests.sendmsg([answer], ancillary)
    os.close(process)


def _restrict() -> None:
    """What holds for this process and for its children."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # the server's end ends them, after their files
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with suppress(OSError):
        os.nice(NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    os.umask(0o077)


def _become_child(descriptors: list[int], run: Callable[[], int]) -> NoReturn:
    """Descriptors 0 to 2 are /dev/null, 3 is control, the job's follow; there is no other."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        high = [_moved(descriptor) for descriptor in descriptors]
        for offset, descriptor in enumerate(high):
            os.dup2(descriptor, CONTROL_DESCRIPTOR + offset, inheritable=False)
        _close_from(CONTROL_DESCRIPTOR + len(high))
        os.environ.clear()
        status = run()
    except BaseException:  # noqa: BLE001, S110 - there is no log; the status says it
        pass
    finally:
        os._exit(status)


def _close_from(low: int) -> None:
    """Those above the limit of open files too: what was inherited keeps the server's number."""
    try:
        numbers = [int(link.name) for link in Path("/proc/self/fd").iterdir()]
    except OSError:
        os.closerange(low, 2**31 - 1)  # slow on a kernel before 5.9
        return
    for descriptor in numbers:
        if descriptor >= low:
            with suppress(OSError):  # that of the listing is closed already
                os.close(descriptor)


def _moved(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH_DESCRIPTOR)


def open_tap(descriptor: int, hold_ms: int) -> Reader:
    return TapReader(descriptor, hold_ms)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited, lambda: main(open_tap))
