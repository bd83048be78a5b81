"""Cuts encoded media into the segments and parts of a live playlist; pure.

A segment begins with a key frame of the video. Parts are as long as they can be below their target:
the rule is that no part is longer, and that all but the last of a segment have 85 % of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sfu.egress.child import fragments
from sfu.egress.child.tracks import Packet, Tracks, microseconds


@dataclass(frozen=True, slots=True)
class Part:
    """`data`: `moof` and `mdat`. `segment`: its number from 0; `ends_segment`: none of it follows.
    `at_us` is its begin on the clock of its media, `independent`: it begins with a key frame."""

    segment: int
    data: bytes
    at_us: int
    duration_us: int
    independent: bool
    ends_segment: bool


@dataclass(slots=True)
class _Open:
    """The part that is being filled: the packets of the track that leads, and of the other."""

    packets: list[Packet] = field(default_factory=list)
    leading_ticks: int = 0


class Segmenter:
    """The video leads; without one, the audio does. `part_us`: None for whole segments."""

    def __init__(self, tracks: Tracks, segment_us: int, part_us: int | None) -> None:
        self._leads = tracks.leading
        self._hz = tracks.hz(self._leads)
        self._segment_ticks = segment_us * self._hz // 1_000_000
        self._part_ticks = (part_us or segment_us) * self._hz // 1_000_000
        self._cuts_parts = part_us is not None
        self._open = _Open()
        self._in_segment_ticks = 0
        self._segment = self._parts = 0
        self._began = False

    def add(self, packet: Packet) -> Part | None:
        """The part that this packet follows, if it begins another one."""
        if not self._began and not (packet.kind == self._leads and packet.key):
            return None  # nothing can be shown before it
        self._began = True
        done = None
        if packet.kind == self._leads and self._open.leading_ticks:
            ends_segment = self._begins_segment(packet)
            if ends_segment or self._is_full(packet):
                done = self._cut(ends_segment=ends_segment)
        self._open.packets.append(packet)
        if packet.kind == self._leads:
            self._open.leading_ticks += packet.duration
        return done

    def finish(self) -> Part | None:
        """The last part: what was added since the one before."""
        return self._cut(ends_segment=True) if self._open.leading_ticks else None

    def _begins_segment(self, packet: Packet) -> bool:
        """Half a frame of slack: durations are rounded to ticks."""
        reached = self._in_segment_ticks + self._open.leading_ticks
        if self._leads == "video":
            return packet.key and reached + packet.duration // 2 >= self._segment_ticks
        return reached + packet.duration > self._segment_ticks

    def _is_full(self, packet: Packet) -> bool:
        return self._cuts_parts and self._open.leading_ticks + packet.duration > self._part_ticks

    def _cut(self, *, ends_segment: bool) -> Part:
        done, self._open = self._open, _Open()
        self._parts += 1
        leading = [one for one in done.packets if one.kind == self._leads]
        part = Part(
            segment=self._segment,
            data=fragments.fragment(self._parts, done.packets),
            at_us=microseconds(leading[0].at, self._hz),
            duration_us=_duration_us(leading, self._hz),
            independent=leading[0].key,
            ends_segment=ends_segment,
        )
        self._in_segment_ticks += done.leading_ticks
        if ends_segment:
            self._segment += 1
            self._in_segment_ticks = 0
        return part


def _duration_us(packets: Sequence[Packet], hz: int) -> int:
    """Rounded at both ends, so that the sum of all parts is the time that passed."""
    end = packets[-1].at + packets[-1].duration
    return microseconds(end, hz) - microseconds(packets[0].at, hz)
