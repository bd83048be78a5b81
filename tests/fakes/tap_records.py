"""Records of a tap (native/rtp/src/tap_record.rs), for tests: written and read."""

import json
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

_HEADER = struct.Struct("<BBHIQ")
_VERSION = 1
_MAX_BYTES = 70_000


class RecordKind(IntEnum):
    RTP = 1
    RTCP = 2
    JSON = 3
    LOST = 4
    END = 5
    FEEDBACK = 6


@dataclass(frozen=True, slots=True)
class Record:
    kind: RecordKind
    ssrc: int
    arrival_us: int
    body: bytes

    @property
    def event(self) -> Any:
        return json.loads(self.body)


def encode_record(kind: RecordKind, body: bytes = b"", ssrc: int = 0) -> bytes:
    return _HEADER.pack(kind, 0, _VERSION, ssrc, 0) + body


def write_record(end: socket.socket, kind: RecordKind, body: bytes = b"", ssrc: int = 0) -> None:
    end.send(encode_record(kind, body, ssrc), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def read_record(end: socket.socket) -> Record | None:
    """The next record; None: nothing waits, or the other end is closed."""
    try:
        datagram = end.recv(_MAX_BYTES, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    if not datagram:
        return None
    kind, _, version, ssrc, arrival_us = _HEADER.unpack_from(datagram)
    assert version == _VERSION
    return Record(RecordKind(kind), ssrc, arrival_us, datagram[_HEADER.size :])


def read_records(end: socket.socket) -> list[Record]:
    """Everything that waits."""
    return list(iter(lambda: read_record(end), None))


def is_at_end(end: socket.socket) -> bool:
    """Whether the other end is closed and everything is read."""
    try:
        return end.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
