"""Notes the frames of the Python SDK, between its encryption and aiortc."""

import functools
import time
from typing import Any

from sealroute_client.publisher import PublishedTrack
from sealroute_client.subscriber import Subscriber

from tests.hostile.passed import Passed, frame_id

SENT: list[Passed] = []
"""Of all clients of this process."""
_received: dict[int, list[Passed]] = {}
_waiting: dict[int, list[bytes]] = {}
_kept: list[object] = []
"""What has notes lives on, so that its id stays its own."""


def received(subscriber: Subscriber) -> list[Passed]:
    return _received.get(id(subscriber), [])


@functools.cache
def install() -> None:
    """From now on every Subscriber and Publisher of this process notes its frames."""
    take, encrypt = Subscriber._take, PublishedTrack.encrypt
    may_send, on_frame = PublishedTrack._may_send, PublishedTrack._on_frame

    def noting_take(self: Subscriber, track: Any, frame: Any) -> bytes | None:
        plain = take(self, track, frame)
        if plain is not None:
            if id(self) not in _received:
                _kept.append(self)
            note = Passed(time.monotonic(), "receive", track.kind, frame_id(frame.data))
            _received.setdefault(id(self), []).append(note)
        return plain

    def noting_encrypt(self: PublishedTrack, codec: Any, frame: bytes) -> bytes | None:
        wire = encrypt(self, codec, frame)
        if wire is not None:
            if id(self) not in _waiting:
                _kept.append(self)
            _waiting.setdefault(id(self), []).append(wire)
        return wire

    def noting_may_send(self: PublishedTrack) -> bool:
        may = may_send(self)
        if not may:
            _waiting.get(id(self), []).clear()
        return may

    def noting_on_frame(self: PublishedTrack, size: int) -> None:
        wires = _waiting.get(id(self), [])
        SENT.extend(Passed(time.monotonic(), "send", self.kind, frame_id(wire)) for wire in wires)
        wires.clear()
        on_frame(self, size)

    Subscriber._take = noting_take
    PublishedTrack.encrypt = noting_encrypt
    PublishedTrack._may_send = noting_may_send
    PublishedTrack._on_frame = noting_on_frame
