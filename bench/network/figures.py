"""What samples of getStats() say, and how a figure is judged. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

Row = Mapping[str, Any]
Sample = Mapping[str, Any]
"""`at` in milliseconds and `rows`."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `bound` None: told, not judged."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    side: Literal["at least", "at most"] = "at least"

    @property
    def holds(self) -> bool | None:
        if self.bound is None:
            return None
        return self.value >= self.bound if self.side == "at least" else self.value <= self.bound


def at_least(name: str, value: float, unit: str, bound: float) -> Figure:
    return Figure(name, value, unit, bound, "at least")


def at_most(name: str, value: float, unit: str, bound: float) -> Figure:
    return Figure(name, value, unit, bound, "at most")


def told(name: str, value: float, unit: str) -> Figure:
    return Figure(name, value, unit)


def rows(sample: Sample, kind: str, direction: str = "inbound-rtp") -> list[Row]:
    return [row for row in sample["rows"] if row["type"] == direction and row.get("kind") == kind]


def total(found: Iterable[Row], name: str) -> float:
    return sum(float(row.get(name) or 0) for row in found)


def grown(
    before: Sample, after: Sample, kind: str, name: str, direction: str = "inbound-rtp"
) -> float:
    """By how much a counter grew, over all streams of a kind."""
    return total(rows(after, kind, direction), name) - total(rows(before, kind, direction), name)


def per_s(
    before: Sample, after: Sample, kind: str, name: str, direction: str = "inbound-rtp"
) -> float:
    elapsed_s = float(after["at"] - before["at"]) / 1_000
    return grown(before, after, kind, name, direction) / elapsed_s


def frame_rate(before: Sample, after: Sample) -> float:
    return per_s(before, after, "video", "framesDecoded")


def concealed_share(before: Sample, after: Sample) -> float:
    """Samples of audio that were made up, of all that were played."""
    played = grown(before, after, "audio", "totalSamplesReceived")
    return grown(before, after, "audio", "concealedSamples") / max(played, 1.0)


def buffered_ms(before: Sample, after: Sample, kind: str) -> float:
    emitted = grown(before, after, kind, "jitterBufferEmittedCount")
    return grown(before, after, kind, "jitterBufferDelay") * 1_000 / max(emitted, 1.0)


def frozen_s(before: Sample, after: Sample) -> float:
    return grown(before, after, "video", "totalFreezesDuration")


APART_MS = 80.0
"""Between the two limits of ITU-R BT.1359-1 (1998): viewers begin to notice audio that is 45 ms
early, or 125 ms late."""


def in_step(ahead_ms: Iterable[float], whose: str = "") -> list[Figure]:
    """Of the samples of by how much audio is ahead of its video. Errors: `ValueError` when
    there are none, for a stream without audio is not in step."""
    apart = [abs(ahead) for ahead in ahead_ms]
    if not apart:
        raise ValueError("no sample of audio and video")
    name = f"audio and video apart{whose}"
    return [
        at_most(f"{name}, middle", median(apart), "ms", APART_MS),
        told(f"{name}, at most", max(apart), "ms"),
    ]


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
