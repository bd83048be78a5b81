"""What goes from a member service to the process that records: frames and events, and back the
tracks that need a key frame."""

import asyncio
import json
import socket
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from sfu.egress import frame_records as records

MAX_WAITING_BYTES = 67_108_864
"""For a disk that does not answer; beyond it video is left out up to its next key frame."""
_SOCKET_BYTES = 4_194_304


class Feed:
    """`child_end` is for the process. `now_us` is the host's monotonic clock."""

    def __init__(self, now_us: Callable[[], int], on_key_wanted: Callable[[int], None]) -> None:
        self._now_us = now_us
        self._on_key_wanted = on_key_wanted
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._socket, self.child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
        self._loop.add_reader(self._socket, self._on_readable)
        self._is_open = True
        self._ends = False

    def frame(self, frame: records.FrameRecord) -> bool:
        """False: there is no room, and the frame is left out."""
        if not self._is_open or self._waiting_bytes > MAX_WAITING_BYTES:
            return False
        try:
            self._write(records.frame_datagrams(frame, self._now_us()))
        except ValueError:
            return False
        return True

    def now_us(self) -> int:
        """On the clock of the records."""
        return self._now_us()

    def missed(self, missed: records.Missed) -> None:
        self._write([records.missed_datagram(missed, self._now_us())])

    def event(self, event: Mapping[str, object]) -> None:
        """As a tap says it (`sfu/egress/child/events.py`)."""
        self._write([records.event_datagram(json.dumps(event).encode(), self._now_us())])

    def end(self) -> None:
        """Behind what was written. Idempotent."""
        if not self._ends:
            self._write([records.end_datagram(self._now_us())])
            self._ends = True

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._waiting.clear()

    def _write(self, datagrams: Iterable[bytes]) -> None:
        if not self._is_open or self._ends:
            return
        for datagram in datagrams:
            self._waiting.append(datagram)
            self._waiting_bytes += len(datagram)
        self._flush()

    def _flush(self) -> None:
        while self._waiting:
            try:
                self._socket.send(self._waiting[0])
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._flush)
                return
            except OSError:
                self.close()  # who records has given up
                return
            self._waiting_bytes -= len(self._waiting.popleft())
        self._loop.remove_writer(self._socket)

    def _on_readable(self) -> None:
        try:
            datagram = self._socket.recv(records.MAX_RECORD_BYTES)
        except BlockingIOError:
            return
        except OSError:
            datagram = b""
        if not datagram:
            self._loop.remove_reader(self._socket)
            return
        ssrc = records.wanted_key_frame(datagram)
        if ssrc is not None:
            self._on_key_wanted(ssrc)
