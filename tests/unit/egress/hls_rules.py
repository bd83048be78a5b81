"""The rules that players rely on (RFC 8216 and its successor), checked on a playlist as text, and
on two playlists that follow each other."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^,]*)')


@dataclass
class Segment:
    number: int
    duration: float = 0.0
    uri: str = ""
    date: datetime | None = None
    discontinuity: bool = False
    parts: list[tuple[float, str, bool]] = field(default_factory=list)


@dataclass
class Parsed:
    tags: dict[str, str]
    segments: list[Segment]
    open: Segment
    hint: str | None
    ended: bool

    @property
    def low_latency(self) -> bool:
        return "#EXT-X-PART-INF" in self.tags


def attributes(text: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in ATTRIBUTE.findall(text)}


def parse(text: str) -> Parsed:
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    assert text.endswith("\n")
    tags = dict(line.partition(":")[::2] for line in lines if line.startswith("#"))
    number = int(tags["#EXT-X-MEDIA-SEQUENCE"])
    found = Parsed(tags, [], Segment(number), None, lines[-1] == "#EXT-X-ENDLIST")
    for line in lines[1:]:
        name, _, value = line.partition(":")
        current = found.open
        match name:
            case "#EXTINF":
                current.duration = float(value.rstrip(","))
            case "#EXT-X-PROGRAM-DATE-TIME":
                current.date = datetime.fromisoformat(value)
            case "#EXT-X-DISCONTINUITY":
                current.discontinuity = True
            case "#EXT-X-PART":
                own = attributes(value)
                part = (float(own["DURATION"]), own["URI"], own.get("INDEPENDENT") == "YES")
                current.parts.append(part)
            case "#EXT-X-PRELOAD-HINT":
                own = attributes(value)
                assert own["TYPE"] == "PART"
                found.hint = own["URI"]
            case _ if line and not line.startswith("#"):
                current.uri = line
                found.segments.append(current)
                number += 1
                found.open = Segment(number)
    return found


def check(text: str) -> Parsed:
    """One playlist by itself."""
    found = parse(text)
    target = int(found.tags["#EXT-X-TARGETDURATION"])
    assert int(found.tags["#EXT-X-VERSION"]) >= 6  # EXT-X-MAP outside of I-frame playlists
    assert "#EXT-X-MAP" in found.tags
    for segment in found.segments:
        assert round(segment.duration) <= target
        assert segment.date is not None
        if segment.parts:
            assert abs(sum(one[0] for one in segment.parts) - segment.duration) < 1e-5
    for before, after in zip(found.segments, found.segments[1:], strict=False):
        if not after.discontinuity:
            gap = after.date - before.date - timedelta(seconds=before.duration)
            assert abs(gap) <= timedelta(milliseconds=2)
    if found.low_latency:
        _check_parts(found, target)
    else:
        assert found.hint is None
        assert all(not one.parts for one in [*found.segments, found.open])
    if found.ended:
        assert (found.hint, found.open.parts) == (None, [])
    return found


def _check_parts(found: Parsed, target: int) -> None:
    part_target = float(attributes(found.tags["#EXT-X-PART-INF"])["PART-TARGET"])
    control = attributes(found.tags["#EXT-X-SERVER-CONTROL"])
    assert control["CAN-BLOCK-RELOAD"] == "YES"
    assert float(control["PART-HOLD-BACK"]) >= 2 * part_target  # must; three should be
    assert float(control["HOLD-BACK"]) >= 3 * target
    for segment in [*found.segments, found.open]:
        for index, (duration, _, _) in enumerate(segment.parts):
            assert duration <= part_target + 1e-6
            is_last = index == len(segment.parts) - 1
            if not is_last:
                assert duration >= 0.85 * part_target
        if segment.parts:
            assert segment.parts[0][2], "a segment begins with a key frame"
    if found.ended:
        return
    left = 3 * target
    for segment in reversed(found.segments):
        assert segment.parts, "parts of the last three target durations are listed"
        left -= segment.duration
        if left <= 0:
            break
    assert found.hint == f"{found.open.number}.{len(found.open.parts)}.m4s"


def check_follows(before: str, after: str) -> None:
    """A player that has the first one gets the second one."""
    old, new = parse(before), parse(after)
    assert old.tags["#EXT-X-TARGETDURATION"] == new.tags["#EXT-X-TARGETDURATION"]
    known = {one.number: one for one in new.segments}
    for segment in old.segments:
        if segment.number in known:
            again = known[segment.number]
            assert (again.uri, again.duration, again.date) == (
                segment.uri,
                segment.duration,
                segment.date,
            )
    assert int(new.tags["#EXT-X-MEDIA-SEQUENCE"]) >= int(old.tags["#EXT-X-MEDIA-SEQUENCE"])
    gone = int(new.tags["#EXT-X-MEDIA-SEQUENCE"]) - int(old.tags["#EXT-X-MEDIA-SEQUENCE"])
    assert not (gone and "#EXT-X-PLAYLIST-TYPE" in new.tags)
    assert not old.ended
    if gone:
        listed = sum(one.duration for one in new.segments)
        assert listed >= 3 * int(new.tags["#EXT-X-TARGETDURATION"])
    now_open = known.get(old.open.number, new.open)
    if old.open.parts and now_open.parts:
        assert now_open.parts[: len(old.open.parts)] == old.open.parts
