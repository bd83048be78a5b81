"""The zygote, with a reader that gets ready-made items instead of packets.

Some items are faults of the process: `die`, `raise`, `hang`, `limit`, `slow`; `reach` tries what a
process that was taken over would.
"""

import ctypes
import mmap
import os
import resource
import select
import signal
import socket
import sys
import time
from pathlib import Path

import msgspec

from sfu.egress.child.main import main
from sfu.egress.zygote import serve


class ItemReader:
    def __init__(self, descriptor, _hold_ms):
        self._socket = socket.socket(fileno=os.dup(descriptor))

    def read(self, timeout_ms):
        if not select.select([self._socket], [], [], timeout_ms / 1000)[0]:
            return []
        message = self._socket.recv(1 << 20)
        if not message:
            raise OSError
        items = [tuple(item) for item in msgspec.msgpack.decode(message)]
        for item in items:
            fault(*item)
        return items

    def finish(self):
        return []

    def handle_json(self, body):
        msgspec.json.decode(body)


def fault(name, *rest):
    match name:
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise RuntimeError(rest[0])
        case "hang":
            signal.pause()
        case "slow":
            time.sleep(rest[0])
        case "reach":
            reach(Path(rest[0]), rest[1])
        case "limit":
            resource.setrlimit(resource.RLIMIT_FSIZE, (rest[0], rest[0]))


def reach(folder, port):
    """Into `reach.json`: what came of each attempt, 0 or the error's number."""
    libc = ctypes.CDLL(None, use_errno=True)
    outside = folder.parent
    attempts = {
        "read a file": lambda: Path("/etc/passwd").read_text(),
        "list a folder": lambda: list(outside.iterdir()),
        "read the server's memory": lambda: Path(f"/proc/{os.getppid()}/maps").read_bytes(),
        "write a file": lambda: (outside / "taken").write_text("x"),
        "truncate a file": lambda: os.truncate(outside / "there", 0),
        "remove a file": (outside / "there").unlink,
        "move a file in": lambda: (outside / "there").rename(folder / "moved"),
        "make a link": lambda: (folder / "link").symlink_to("/etc/passwd"),
        "connect": lambda: socket.create_connection(("127.0.0.1", port), 1),
        "listen": lambda: socket.create_server(("127.0.0.1", 0)),
        "end another process": lambda: os.kill(os.getppid(), 0),
        "take memory": lambda: mmap.mmap(-1, 1 << 31),
        "use its own folder": lambda: (folder / "own").write_text("x"),
    }
    found = {name: attempt(do) for name, do in attempts.items()}
    found["no new privileges"] = libc.prctl(39, 0, 0, 0, 0)
    found["processes"] = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    (folder / "reach.json").write_bytes(msgspec.json.encode(found))


def attempt(do):
    try:
        do()
    except OSError as failure:
        return failure.errno
    return 0


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited, lambda: main(ItemReader))
