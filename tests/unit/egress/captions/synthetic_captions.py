"""The zygote of captions with a recognizer of tones and a reader of ready-made items; `lie` makes a
process say what none says."""

import socket
import sys

import msgspec

from sfu.egress.captions.process import main
from sfu.egress.child.control_socket import ControlSocket
from sfu.egress.zygote import serve
from tests.unit.egress.captions.sounds import Stopwatch
from tests.unit.egress.synthetic_zygote import ItemReader


class Reader(ItemReader):
    def read(self, timeout_ms):
        items = super().read(timeout_ms)
        for item in items:
            if item[0] == "lie":
                ControlSocket.send = _send_lie
        return items


class _Lie(msgspec.Struct, tag_field="line", tag="listening"):
    """A second time."""


_send = ControlSocket.send


def _send_lie(control, _line, **more):
    _send(control, _Lie(), **more)


if __name__ == "__main__":
    engines = [Stopwatch() for _ in range(int(sys.argv[1]))]
    with socket.socket(fileno=int(sys.argv[2])) as inherited:
        serve(inherited, lambda: main(Reader, engines))
