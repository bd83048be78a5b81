"""What is in a composed image at a time, and which frames are due for it; pure.

Time is that of the job, in microseconds. An image is made every 1/30 s whatever comes, and a tile
has the newest frame that is not younger than the image.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from sfu.egress.child.frames import Frame
from sfu.egress.child.layout import Box, LayoutRule, Placeable, Tile, tiles
from sfu.egress.composition import Fit

FPS = 30
SAMPLE_RATE = 48_000
SAMPLES_PER_TICK = SAMPLE_RATE // FPS
FREEZE_US = 5_000_000
"""How long the last frame of a camera stays; then a sign says that nothing comes."""
FREEZE_SCREEN_US = 60_000_000
"""A screen on which nothing moves sends little."""
_SCREEN = "screen"


def tick_us(tick: int) -> int:
    """The time of an image, rounded down."""
    return tick * 1_000_000 // FPS


def ticks_until(at_us: int) -> int:
    """How many images are due at this time: those at or before it."""
    return max(0, at_us * FPS // 1_000_000 + 1) if at_us >= 0 else 0


def sample_at(at_us: int) -> int:
    """The number of the sample at this time, rounded to the nearest one."""
    return (at_us * SAMPLE_RATE + 500_000) // 1_000_000


class Content(StrEnum):
    """`figure`: the stream has no video now. `no_video`: it should have, and nothing comes."""

    FRAME = "frame"
    FIGURE = "figure"
    NO_VIDEO = "no_video"


@dataclass(frozen=True, slots=True)
class Shown:
    stream: str
    box: Box
    content: Content
    fit: Fit = "contain"


@dataclass(slots=True)
class _Video:
    """One stream's video. `last_us`: the time of the frame that it shows, if it shows one."""

    placed: Placeable
    muted: bool = False
    since_us: int = 0
    last_us: int | None = None

    def content(self, at_us: int) -> Content:
        if self.muted or not self.placed.has_video:
            return Content.FIGURE
        freeze_us = FREEZE_SCREEN_US if self.placed.is_screen else FREEZE_US
        last_us = self.since_us if self.last_us is None else self.last_us
        if at_us - last_us > freeze_us:
            return Content.NO_VIDEO
        return Content.FIGURE if self.last_us is None else Content.FRAME


class Stage:
    """The streams in the image, where, and with what."""

    def __init__(self, width: int, height: int, rule: LayoutRule) -> None:
        self._size = (width, height)
        self._rule = rule
        self._videos: dict[str, _Video] = {}
        self._came = 0

    def add(
        self,
        stream: str,
        at_us: int,
        *,
        has_video: bool,
        video_type: str = "",
        classes: Iterable[str] = (),
    ) -> None:
        self._came += 1
        placed = Placeable(stream, self._came, has_video, video_type == _SCREEN, frozenset(classes))
        self._videos[stream] = _Video(placed, since_us=at_us)
        self._rearrange()

    def remove(self, stream: str) -> None:
        if self._videos.pop(stream, None) is not None:
            self._rearrange()

    def set_rule(self, rule: LayoutRule) -> None:
        self._rule = rule
        self._rearrange()

    def set_classes(self, stream: str, classes: Iterable[str]) -> None:
        if video := self._videos.get(stream):
            video.placed = replace(video.placed, classes=frozenset(classes))
            self._rearrange()

    def set_muted(self, stream: str, at_us: int, *, muted: bool) -> None:
        """After a mute the old frame is not shown again."""
        if video := self._videos.get(stream):
            video.muted, video.last_us, video.since_us = muted, None, at_us

    def handle_frame(self, stream: str, at_us: int) -> None:
        """A frame was decoded; from now on it is the newest one."""
        if video := self._videos.get(stream):
            video.last_us = at_us

    def is_visible(self, stream: str) -> bool:
        """Whether it has a tile. What has none need not be decoded."""
        return stream in self._tiles

    def box_of(self, stream: str) -> Box | None:
        tile = self._tiles.get(stream)
        return None if tile is None else tile.box

    def at(self, at_us: int) -> tuple[Shown, ...]:
        """In the order of painting."""
        return tuple(
            Shown(name, tile.box, self._videos[name].content(at_us), tile.fit)
            for name, tile in self._tiles.items()
        )

    @cached_property
    def _tiles(self) -> dict[str, Tile]:
        placed = [video.placed for video in self._videos.values()]
        return {tile.stream: tile for tile in tiles(self._rule, placed, *self._size)}

    def _rearrange(self) -> None:
        self.__dict__.pop("_tiles", None)


class FrameQueue:
    """Frames of one track that wait for their time. It holds what a busy machine has not decoded
    yet, so that late is not lost."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Frame]] = deque()
        self._needs_key = False
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, at_us: int, frame: Frame) -> None:
        """Times of a track do not go back; where they do, the frame is shown at once."""
        last_us = self._waiting[-1][0] if self._waiting else at_us
        self._waiting.append((max(at_us, last_us), frame))
        self.size_bytes += len(frame.data)

    def take(self, until_us: int) -> list[tuple[int, Frame]]:
        """The frames up to this time. Without their references, frames are left out up to the next
        key frame."""
        taken: list[tuple[int, Frame]] = []
        while self._waiting and self._waiting[0][0] <= until_us:
            at_us, frame = self._waiting.popleft()
            self.size_bytes -= len(frame.data)
            if frame.key:
                self._needs_key = False
            if not self._needs_key:
                taken.append((at_us, frame))
        return taken

    @property
    def needs_key(self) -> bool:
        return self._needs_key

    def need_key(self) -> None:
        """What follows has no reference any more: a frame did not decode, or was not decoded."""
        self._needs_key = True
