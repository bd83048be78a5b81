"""The zygote, with a reader that gets ready-made items instead of packets.

Some items are faults of the process: `die`, `raise`, `hang`, `limit`, `slow`.
"""

import os
import resource
import select
import signal
import socket
import sys
import time

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
        case "limit":
            resource.setrlimit(resource.RLIMIT_FSIZE, (rest[0], rest[0]))


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited, lambda: main(ItemReader))
