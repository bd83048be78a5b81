"""The frames of one publisher on this host's monotonic clock; pure.

Sender reports name the same instants on the clocks of audio and video, so both are placed by one
map: as early as the frame that was least delayed on its way. Until the reports are there frames
wait; without them each kind is placed by when it came. Clocks differ a little, so the map follows
slowly what comes later and later, or earlier and earlier.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sealroute_client.media.recording import CLOCK_HZ, Sample

WAIT_S = 2.5
"""Reports come every 0.5 to 1.5 s."""
WINDOW_S = 10.0
SLEW = 0.001
"""Of the time that passes: nobody hears it."""
STEP_S = 0.25
"""A difference that is no drift: the publisher's clock was set."""


@dataclass(slots=True)
class _Map:
    """Capture time to the host's: `host = capture + offset`."""

    offset_s: float
    _least_s: float | None = None
    _since_s: float | None = None

    def at_s(self, capture_s: float, arrived_s: float) -> float:
        late_s = arrived_s - capture_s - self.offset_s
        self._least_s = late_s if self._least_s is None else min(self._least_s, late_s)
        if self._since_s is None:
            self._since_s = arrived_s
        elif arrived_s >= self._since_s + WINDOW_S:
            self._follow(self._least_s, arrived_s - self._since_s)
            self._least_s, self._since_s = None, arrived_s
        return capture_s + self.offset_s

    def _follow(self, late_s: float, passed_s: float) -> None:
        most_s = SLEW * passed_s
        step_s = late_s if abs(late_s) > STEP_S else max(-most_s, min(most_s, late_s))
        self.offset_s += step_s


@dataclass(slots=True)
class StreamClock:
    """`kinds`: the tracks of the stream."""

    kinds: frozenset[str]
    _waiting: list[Sample] = field(default_factory=list)
    _maps: dict[str, _Map] = field(default_factory=dict)
    _linked: dict[str, float] = field(default_factory=dict)
    """By kind: what takes the codec's time to the publisher's clock."""
    _is_settled: bool = False

    def place(self, sample: Sample) -> list[tuple[int, Sample]]:
        """The samples that have a time now, in microseconds, in the order in which they came."""
        if self._is_settled:
            return [(self._at_us(sample), sample)]
        self._waiting.append(sample)
        if not self._may_settle(sample.arrived_s):
            return []
        return self.settle()

    def settle(self) -> list[tuple[int, Sample]]:
        """With what is known; at the latest when the stream ends."""
        waiting, self._waiting = self._waiting, []
        if not self._is_settled:
            self._is_settled = True
            self._choose(waiting)
        return [(self._at_us(sample), sample) for sample in waiting]

    def _may_settle(self, now_s: float) -> bool:
        reported = {one.kind for one in self._waiting if one.report is not None}
        return reported >= self.kinds or now_s - self._waiting[0].arrived_s >= WAIT_S

    def _choose(self, samples: Iterable[Sample]) -> None:
        samples = list(samples)
        reports = {one.kind: one.report for one in samples if one.report is not None}
        for kind, report in reports.items():
            self._linked[kind] = report.ntp_s - report.timestamp / CLOCK_HZ[kind]
        linked = [one for one in samples if one.kind in self._linked]
        if linked:
            shared = _Map(min(one.arrived_s - self._capture_s(one) for one in linked))
            self._maps |= dict.fromkeys(self._linked, shared)

    def _capture_s(self, sample: Sample) -> float:
        own_s = sample.timestamp / CLOCK_HZ[sample.kind]
        return own_s + self._linked.get(sample.kind, 0.0)

    def _at_us(self, sample: Sample) -> int:
        capture_s = self._capture_s(sample)
        found = self._maps.get(sample.kind)
        if found is None:
            found = self._maps[sample.kind] = _Map(sample.arrived_s - capture_s)
        return round(found.at_s(capture_s, sample.arrived_s) * 1_000_000)
