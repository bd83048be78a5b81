"""A zygote whose children were taken over: they send what no child sends."""

import itertools
import socket
import sys

from sfu.egress.child.main import CONTROL_DESCRIPTOR
from sfu.egress.zygote import serve

ANSWERS = {
    "nonsense": b"\xff\xfe\x00\n" * 1_000,
    "endless": b"x" * 10_000_000,
    "wrong number": b'{"n":7,"body":{"line":"ready"}}\n',
    "a line of the server": b'{"n":1,"body":{"line":"finish","reason":"x"}}\n',
    "values that are none": b'{"n":1,"body":{"line":"done","size_bytes":-1,"sha256":"../../x",'
    b'"recorded_ms":1}}\n',
    "a size that no storage holds": b'{"n":1,"body":{"line":"progress","recorded_ms":1,'
    b'"size_bytes":1%s}}\n' % (b"0" * 40),
    "bytes of no text": b'{"n":1,"body":{"line":"failed","code":"storage","text":"\x93"}}\n',
    "a flood": b"",
    "deep": b"[" * 60_000 + b"\n",
}


def answer(kind: str) -> int:
    with socket.socket(fileno=CONTROL_DESCRIPTOR) as control:
        control.sendall(ANSWERS[kind])
        for number in itertools.count(1):
            if kind == "a flood":
                control.sendall(b'{"n":%d,"body":{"line":"ready"}}\n' % number)
            elif not control.recv(65_536):
                break
    return 0


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[2])) as inherited:
        serve(inherited, lambda: answer(sys.argv[1]))
