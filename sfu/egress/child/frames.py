"""What a reader of the tap gives: frames, events, losses.

`sfu._native.TapReader` is the reader; whatever reads frames elsewhere has the same shape.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol


class Reader(Protocol):
    def read(self, timeout_ms: int) -> list[tuple[Any, ...]]:
        """What became ready, in order; waits for it at most this long."""

    def finish(self) -> list[tuple[Any, ...]]:
        """What is still held for packets that may come."""

    def handle_json(self, body: bytes) -> None:
        """Learns the tracks of a stream that was added before this reader was there."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One encoded frame. `pts_us` is on the host's monotonic clock."""

    ssrc: int
    kind: str
    codec: str
    key: bool
    pts_us: int
    duration_us: int
    data: bytes
    width: int = 0
    height: int = 0
    degrees: int | None = None


def frame_of(item: tuple[Any, ...]) -> Frame:
    """The frame of a `("frame", …)` item."""
    _, ssrc, kind, codec, key, pts_us, duration_us, data, _lost, width, height, degrees = item
    return Frame(
        ssrc, kind, codec, key, pts_us, duration_us, data, width or 0, height or 0, degrees
    )


def in_order(items: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Frames of all tracks by their time; events stay where they are.

    After a backlog a reader gives seconds of one track in front of the other one."""
    frames: list[tuple[Any, ...]] = []
    for item in items:
        if item[0] in _TIME_AT:
            frames.append(item)
        else:
            yield from sorted(frames, key=_time_of)
            frames.clear()
            yield item
    yield from sorted(frames, key=_time_of)


_TIME_AT = {"frame": 5, "lost": 4}
"""A loss comes in front of the frame that ends it."""


def _time_of(item: tuple[Any, ...]) -> int:
    time_us: int = item[_TIME_AT[item[0]]]
    return time_us
