"""The reader of a job whose media comes as whole frames: of encrypted sessions, which a member
service has decrypted. It implements `Reader`, as the tap's own does for packets."""

import os
import select
import socket
import time
from contextlib import suppress
from typing import Any

import msgspec

from sfu.egress.child.events import StreamAdded
from sfu.egress.child.frame_sizes import size_of
from sfu.egress.control import NOT_JSON
from sfu.egress.frame_records import (
    MAX_RECORD_BYTES,
    Ended,
    Event,
    FrameAssembler,
    FrameRecord,
    Missed,
    Record,
    key_frame_datagram,
)

AT_ONCE = 256
"""Datagrams of one read: control lines are looked at in between."""


class FrameReader:
    """Copies the descriptor. Errors: `OSError`."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._assembler = FrameAssembler()
        self._sizes: dict[int, tuple[int, int]] = {}
        self._ended = False

    def read(self, timeout_ms: int) -> list[tuple[Any, ...]]:
        """Errors: `OSError`, `ValueError` for what no member service writes."""
        if self._ended or not select.select([self._socket], [], [], timeout_ms / 1000)[0]:
            return []
        items: list[tuple[Any, ...]] = []
        for _ in range(AT_ONCE):
            try:
                datagram = self._socket.recv(MAX_RECORD_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            record = self._assembler.take(datagram) if datagram else Ended(_now_us())
            if record is not None:
                items.append(self._item(record))
            if isinstance(record, Ended):
                self._ended = True
                break
        return items

    def finish(self) -> list[tuple[Any, ...]]:
        """What is in the socket still: nothing is held for repairs."""
        return self.read(0)

    def close(self) -> None:
        self._socket.close()

    def handle_json(self, body: bytes) -> None:
        """Of a stream whose frames went to an earlier process: its video goes on with a key
        frame."""
        with suppress(OSError, *NOT_JSON):
            for track in msgspec.json.decode(body, type=StreamAdded).tracks:
                if track.kind == "video":
                    self._socket.send(key_frame_datagram(track.ssrc, _now_us()))

    def _item(self, record: Record) -> tuple[Any, ...]:
        match record:
            case FrameRecord():
                return self._frame(record)
            case Missed(ssrc=ssrc, from_us=from_us, to_us=to_us, reason=reason):
                return "lost", ssrc, 1, from_us, to_us, reason
            case Event(body=body, arrival_us=arrival_us):
                return "json", arrival_us, body
            case Ended(arrival_us=arrival_us):
                return "end", arrival_us

    def _frame(self, one: FrameRecord) -> tuple[Any, ...]:
        if one.key and one.kind == "video":
            self._sizes[one.ssrc] = size_of(one.codec, one.data)
        width, height = self._sizes.get(one.ssrc, (0, 0))
        head = (one.ssrc, one.kind, one.codec, one.key, one.pts_us, one.duration_us, one.data)
        return ("frame", *head, 0, width, height, None)


def _now_us() -> int:
    return time.monotonic_ns() // 1000


def open_frames(descriptor: int, hold_ms: int) -> FrameReader:
    del hold_ms
    return FrameReader(descriptor)
