"""A zygote that answers each request with what is no answer."""

import array
import socket
import sys

ANSWERS = {
    "nonsense": b"\xff\xfe",
    "deep": b"[" * 1_000,
    "another type": b"[1,2]",
    "bytes of no text": b'{"\x93":1}',
    "no number": b'{"pid":1}',
    "no pid": b'{"number":1}',
    "a number that is none": b'{"number":"1","pid":1}',
    "a pid below all": b'{"number":1,"pid":-1}',
    "a pid above all": b'{"number":1,"pid":1%s}' % (b"0" * 40),
    "a descriptor of no process": b'{"number":1,"pid":1}',
}


def answer(requests, kind):
    while requests.recv(1_024):
        if kind == "a descriptor of no process":
            rights = array.array("i", [requests.fileno()])
            requests.sendmsg([ANSWERS[kind]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        else:
            requests.send(ANSWERS[kind])


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[2])) as inherited:
        answer(inherited, sys.argv[1])
