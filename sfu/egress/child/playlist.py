"""The media playlist of a live broadcast (RFC 8216, and its successor draft-pantos-hls-rfc8216bis
for low latency); pure.

What it lists is final: no line of a part or segment changes once it is there. Durations are those
of the media, never the targets.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

PARTS_FOR_TARGETS = 3
"""Parts are listed for this many target durations before the end (RFC 8216bis section 6.2.2)."""
HOLD_BACK_TARGETS, HOLD_BACK_PARTS = 3, 3
"""How far players stay behind the end, in target durations and in parts."""
GRACE = 1
"""A segment that is not listed any more is kept for another whole window: somebody may hold a
playlist that lists it."""
HEADER_FILE, PLAYLIST_FILE = "init.mp4", "index.m3u8"
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class PlaylistRules:
    """`target_s`: no segment is longer than this when its duration is rounded. `part_us`: the
    target of parts, None without parts. `window`: how many segments are listed; None: all, for a
    playlist that only grows."""

    target_s: int
    part_us: int | None = None
    window: int | None = 6


def segment_name(number: int) -> str:
    return f"{number}.m4s"


def part_name(number: int, part: int) -> str:
    return f"{number}.{part}.m4s"


@dataclass(slots=True)
class _Segment:
    number: int
    unix_ms: int
    parts: list[tuple[int, bool]] = field(default_factory=list)  # duration, independent

    @property
    def duration_us(self) -> int:
        return sum(duration for duration, _ in self.parts)


class Playlist:
    """`first`: the number of its first segment. Numbers are never used twice."""

    def __init__(self, rules: PlaylistRules, first: int = 0) -> None:
        self._rules = rules
        self._segments: deque[_Segment] = deque()
        self._open: _Segment | None = None
        self._gone: deque[_Segment] = deque()
        self._next = first
        self._discontinuities: set[int] = set()
        self._discontinuity_sequence = 0
        self._ended = False

    @property
    def is_empty(self) -> bool:
        return not self._segments

    @property
    def parts_of_last(self) -> list[str]:
        """The files of the parts of the newest whole segment."""
        if not self._segments or self._rules.part_us is None:
            return []
        last = self._segments[-1]
        return [part_name(last.number, part) for part in range(len(last.parts))]

    @property
    def next_name(self) -> tuple[int, int]:
        """The number of the segment and of the part that come next."""
        return self._next, 0 if self._open is None else len(self._open.parts)

    def add(self, duration_us: int, unix_ms: int, *, independent: bool, ends_segment: bool) -> None:
        """A part, or a whole segment where there are no parts. `unix_ms`: when it began."""
        if self._ended:
            raise ValueError("the playlist has ended")
        if self._open is None:
            self._open = _Segment(self._next, unix_ms)
        self._open.parts.append((duration_us, independent))
        if ends_segment:
            self._segments.append(self._open)
            self._open = None
            self._next += 1

    def discontinue(self) -> None:
        """What follows is of another encoder, with the same parameters and another clock."""
        if self._segments:
            self._discontinuities.add(self._next)

    def end(self) -> None:
        """Nothing follows. A segment that has begun must have ended."""
        self._ended = True

    def expire(self) -> list[str]:
        """The files that no player asks for any more."""
        window = self._rules.window
        if window is None:
            return []
        while len(self._segments) > window:
            gone = self._segments.popleft()
            self._gone.append(gone)
            if self._segments and self._segments[0].number in self._discontinuities:
                self._discontinuities.discard(self._segments[0].number)
                self._discontinuity_sequence += 1
        return [
            name
            for _ in range(max(0, len(self._gone) - window * GRACE))
            for name in self._files(self._gone.popleft())
        ]

    def _files(self, segment: _Segment) -> Iterator[str]:
        yield segment_name(segment.number)
        if self._rules.part_us is not None:
            for part in range(len(segment.parts)):
                yield part_name(segment.number, part)

    @classmethod
    def restored(cls, rules: PlaylistRules, text: str) -> "Playlist":
        """What an earlier process of the broadcast left. Its open segment has ended; what follows
        is of another encoder. Errors: `ValueError`."""
        reader = _Reader(text)
        found = cls(rules, reader.first)
        found._discontinuity_sequence = reader.discontinuity_sequence
        found._segments.extend(reader.segments)
        found._discontinuities |= reader.discontinuities
        found._next = reader.first + len(reader.segments)
        found.discontinue()
        return found

    # --- its text -------------------------------------------------------------------------------

    def render(self) -> str:
        return "\n".join([*self._head(), *self._body(), *self._tail()]) + "\n"

    def _head(self) -> Iterator[str]:
        rules = self._rules
        yield "#EXTM3U"
        yield f"#EXT-X-VERSION:{9 if rules.part_us is not None else 7}"
        yield f"#EXT-X-TARGETDURATION:{rules.target_s}"
        if rules.part_us is not None:
            part_s = rules.part_us / _MICROSECONDS
            yield (
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,"
                f"PART-HOLD-BACK={HOLD_BACK_PARTS * part_s:.3f},"
                f"HOLD-BACK={HOLD_BACK_TARGETS * rules.target_s:.3f}"
            )
            yield f"#EXT-X-PART-INF:PART-TARGET={part_s:.3f}"
        if rules.window is None:
            yield "#EXT-X-PLAYLIST-TYPE:EVENT"
        yield "#EXT-X-INDEPENDENT-SEGMENTS"
        first = self._segments[0].number if self._segments else self._next
        yield f"#EXT-X-MEDIA-SEQUENCE:{first}"
        if self._discontinuity_sequence:
            yield f"#EXT-X-DISCONTINUITY-SEQUENCE:{self._discontinuity_sequence}"
        yield f'#EXT-X-MAP:URI="{HEADER_FILE}"'

    def _body(self) -> Iterator[str]:
        with_parts = {one.number for one in self._last_segments()}
        for segment in self._segments:
            yield from self._begin(segment)
            if segment.number in with_parts:
                yield from self._parts(segment)
            yield f"#EXTINF:{segment.duration_us / _MICROSECONDS:.6f},"
            yield segment_name(segment.number)

    def _last_segments(self) -> Iterator[_Segment]:
        """Those within the last target durations, from the end."""
        left_us = PARTS_FOR_TARGETS * self._rules.target_s * _MICROSECONDS
        for segment in reversed(self._segments):
            if left_us <= 0 or self._ended:
                return
            yield segment
            left_us -= segment.duration_us

    def _begin(self, segment: _Segment) -> Iterator[str]:
        if segment.number in self._discontinuities:
            yield "#EXT-X-DISCONTINUITY"
        yield f"#EXT-X-PROGRAM-DATE-TIME:{_date(segment.unix_ms)}"

    def _parts(self, segment: _Segment) -> Iterator[str]:
        if self._rules.part_us is None:
            return
        for number, (duration_us, independent) in enumerate(segment.parts):
            mark = ",INDEPENDENT=YES" if independent else ""
            uri = part_name(segment.number, number)
            yield f'#EXT-X-PART:DURATION={duration_us / _MICROSECONDS:.6f},URI="{uri}"{mark}'

    def _tail(self) -> Iterator[str]:
        if self._ended:
            yield "#EXT-X-ENDLIST"
            return
        if self._rules.part_us is None:
            return
        if self._open is not None:
            yield from self._begin(self._open)
            yield from self._parts(self._open)
        yield f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{part_name(*self.next_name)}"'


class _Reader:
    """Reads a playlist that was rendered here."""

    def __init__(self, text: str) -> None:
        self.first = self.discontinuity_sequence = 0
        self.segments: list[_Segment] = []
        self.discontinuities: set[int] = set()
        self._parts: list[tuple[int, bool]] = []
        self._unix_ms = 0
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if name in _READERS:
                _READERS[name](self, value)
        if self._parts:
            self._end_segment(self._parts)

    def _begin(self, value: str) -> None:
        self.first = int(value)

    def _discontinuity_count(self, value: str) -> None:
        self.discontinuity_sequence = int(value)

    def _discontinuity(self, _value: str) -> None:
        self.discontinuities.add(self.first + len(self.segments))

    def _date(self, value: str) -> None:
        self._unix_ms = round(datetime.fromisoformat(value).timestamp() * 1000)

    def _part(self, value: str) -> None:
        duration, _, rest = value.removeprefix("DURATION=").partition(",")
        self._parts.append((_us(duration), "INDEPENDENT" in rest))

    def _whole(self, value: str) -> None:
        self._end_segment(self._parts or [(_us(value.rstrip(",")), True)])

    def _end_segment(self, parts: list[tuple[int, bool]]) -> None:
        number = self.first + len(self.segments)
        self.segments.append(_Segment(number, self._unix_ms, list(parts)))
        self._parts = []


_READERS = {
    "#EXT-X-MEDIA-SEQUENCE": _Reader._begin,  # noqa: SLF001 - the table of this class
    "#EXT-X-DISCONTINUITY-SEQUENCE": _Reader._discontinuity_count,  # noqa: SLF001
    "#EXT-X-DISCONTINUITY": _Reader._discontinuity,  # noqa: SLF001
    "#EXT-X-PROGRAM-DATE-TIME": _Reader._date,  # noqa: SLF001
    "#EXT-X-PART": _Reader._part,  # noqa: SLF001
    "#EXTINF": _Reader._whole,  # noqa: SLF001
}


def _us(seconds: str) -> int:
    return round(float(seconds) * _MICROSECONDS)


def _date(unix_ms: int) -> str:
    at = datetime.fromtimestamp(unix_ms / 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{unix_ms % 1000:03d}Z"
