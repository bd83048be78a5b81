"""A zygote whose children are no renders: they say what the name of the lie says, and wait."""

import os
import socket
import sys

from sfu.egress.child.control_socket import ControlSocket
from sfu.egress.control import LineWriter
from sfu.egress.render.process import CONTROL_DESCRIPTOR
from sfu.egress.render_lines import (
    BeatLine,
    EndLine,
    PublishedLine,
    RenderDownReader,
    ShowingLine,
    ShowLine,
)
from sfu.egress.run_lines import LeaveLine
from sfu.egress.zygote import serve

PUBLISHED = PublishedLine("connection", "stream")
LIES = {
    "twice": [PUBLISHED, PUBLISHED],
    "early": [EndLine("unpublished")],
    "long": [EndLine("page", "x" * 1_000)],
    "number": [BeatLine({"bytes": -1})],
    "flood": [BeatLine()] * 10_000,
    "hang": [],
}


def answer(kind: str) -> int:
    connection = socket.socket(fileno=CONTROL_DESCRIPTOR)
    control = ControlSocket(connection, RenderDownReader())
    lines = control.poll(10)
    if lines[0].waits:
        while not control.closed and not any(isinstance(one, ShowLine) for one in lines):
            lines = control.poll(1)
        control.send(ShowingLine())
    if kind == "garbage":
        connection.sendall(LineWriter().encode(BeatLine())[5:])
    for line in LIES.get(kind, [PublishedLine(str(os.getpid()), "stream")]):
        control.send(line)
    while not control.closed and not any(isinstance(one, LeaveLine) for one in control.poll(1)):
        pass
    return 0


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[2])) as inherited:
        serve(inherited, lambda: answer(sys.argv[1]))
