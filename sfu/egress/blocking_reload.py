"""What a player waits for when it asks for a playlist that is not there yet (blocking reload of
draft-pantos-hls-rfc8216bis section 6.2.5.2); pure."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

MAX_AHEAD = 2
"""Segments beyond the last one for which a player is made to wait."""
ADVANCE_S = 3
"""The same of parts: those that begin this long after the last one, or three if that is more."""
MAX_TARGET_S = 120
"""Twice the longest segment that a server can be set to. A playlist is written where the bytes of
participants are decoded: no number in it makes viewers wait without end, or stops who reads it."""
_MAX_DIGITS = 12
_MEDIA_SEQUENCE = re.compile(r"^#EXT-X-MEDIA-SEQUENCE:(\d{1,12})", re.MULTILINE)
_LINES = re.compile(r"^(#EXTINF:|#EXT-X-PART:)", re.MULTILINE)
_TARGET = re.compile(r"^#EXT-X-TARGETDURATION:(\d{1,12})", re.MULTILINE)
_PART_TARGET = re.compile(r"PART-TARGET=(\d{1,6}(?:\.\d{1,6})?)")
_SHORTEST_PART_S = 0.01


@dataclass(frozen=True, slots=True)
class Position:
    """How far a playlist is: the segment that is being filled and its parts so far, and how many
    parts the one before has."""

    segment: int
    parts: int
    parts_before: int
    can_block: bool
    ended: bool
    target_s: int
    advance_parts: int = 3

    def has(self, wanted: "Wanted") -> bool:
        if self.ended:
            return True
        if self.segment != wanted.segment:
            # A part behind the last one of its segment is the first one of the next segment.
            waits_for_next = (
                self.segment == wanted.segment + 1
                and wanted.part is not None
                and wanted.part >= self.parts_before
                and not self.parts
            )
            return self.segment > wanted.segment and not waits_for_next
        return wanted.part is not None and self.parts > wanted.part


@dataclass(frozen=True, slots=True)
class Wanted:
    """`part`: None for the whole segment."""

    segment: int
    part: int | None = None


class Answer(Enum):
    NOW = "now"
    WAIT = "wait"
    REFUSE = "refuse"


def position_of(text: str) -> Position:
    """Of a playlist that was rendered by `Playlist`; whatever the text is, there is one."""
    found = _MEDIA_SEQUENCE.search(text)
    target = _TARGET.search(text)
    segment, parts, parts_before = int(found[1]) if found else 0, 0, 0
    for line in _LINES.findall(text):
        if line == "#EXTINF:":
            segment, parts, parts_before = segment + 1, 0, parts
        else:
            parts += 1
    part_target = _PART_TARGET.search(text)
    return Position(
        segment,
        parts,
        parts_before,
        can_block="CAN-BLOCK-RELOAD=YES" in text,
        ended="#EXT-X-ENDLIST" in text,
        target_s=min(int(target[1]), MAX_TARGET_S) if target else 1,
        advance_parts=_parts_ahead(float(part_target[1])) if part_target else 3,
    )


def _parts_ahead(part_s: float) -> int:
    return max(3, math.ceil(ADVANCE_S / max(part_s, _SHORTEST_PART_S)))


def wanted_of(query: Mapping[str, str]) -> Wanted | None:
    """None: the playlist as it is. Errors: `ValueError`."""
    segment, part = query.get("_HLS_msn"), query.get("_HLS_part")
    if segment is None and part is None:
        return None
    if segment is None:
        raise ValueError("_HLS_part needs _HLS_msn")
    return Wanted(_number(segment), None if part is None else _number(part))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise ValueError("not a number")
    return int(text)


def answer(position: Position, wanted: Wanted | None) -> Answer:
    if wanted is None or not position.can_block or position.has(wanted):
        return Answer.NOW
    ahead = wanted.segment - position.segment
    too_far = ahead >= MAX_AHEAD
    if not too_far and ahead == 0 and wanted.part is not None:
        too_far = wanted.part - position.parts >= position.advance_parts
    return Answer.REFUSE if too_far else Answer.WAIT
