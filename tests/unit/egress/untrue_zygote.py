"""A zygote whose children speak as all do, and do not say the truth."""

import json
import socket
import sys
from pathlib import Path

from sfu.egress.child.control_socket import ControlSocket
from sfu.egress.child.main import CONTROL_DESCRIPTOR
from sfu.egress.control import (
    DoneLine,
    DownReader,
    OutputLine,
    ProgressLine,
    ReadyLine,
    RecordingLine,
)
from sfu.egress.zygote import serve

MOST = 2**53
DONE = DoneLine(MOST)
LIES = {
    "a link": (ReadyLine(), DONE),
    "an output of an archive": (ReadyLine(), OutputLine("hls", "live"), DONE),
    "numbers": (ReadyLine(), RecordingLine(0), ProgressLine(MOST, MOST), DONE),
}


def answer(kind: str) -> int:
    connection = socket.socket(fileno=CONTROL_DESCRIPTOR)
    line = b""
    while not line.endswith(b"\n"):
        line += connection.recv(65_536)
    folder = Path(json.loads(line.splitlines()[0])["body"]["folder"])
    file = folder / "archive.zip"
    if kind != "a link":
        file.write_text("its own")
    elif not file.is_symlink():
        file.symlink_to(folder.parent / "there")
    control = ControlSocket(connection, DownReader())
    for one in LIES[kind]:
        control.send(one)
    connection.setblocking(True)
    connection.recv(65_536)
    return 0


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[2])) as inherited:
        serve(inherited, lambda: answer(sys.argv[1]))
