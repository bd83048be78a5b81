"""The scenarios, one row each: publishers, media and number of subscribers."""

from dataclasses import dataclass
from typing import Literal

VP8_PAYLOAD_BYTES = 1_150
OPUS_PAYLOAD_BYTES = 100
BLOCKED = "1-50-slow"
"""Also run while the server's Python loop is blocked 5 ms in every 100."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """`conference`: every publisher also receives all others, and nobody else does; then
    `subscribers` is 0. `burst` packets leave back to back; a frame has `packets_per_frame`."""

    name: str
    kind: Literal["audio", "video"]
    publishers: int
    subscribers: int
    rate_pps: float
    burst: int = 1
    packets_per_frame: int = 10
    conference: bool = False

    @property
    def payload_bytes(self) -> int:
        return VP8_PAYLOAD_BYTES if self.kind == "video" else OPUS_PAYLOAD_BYTES

    @property
    def receivers(self) -> int:
        """Clients with a downlink."""
        return self.publishers if self.conference else self.subscribers

    @property
    def flows(self) -> int:
        """Deliveries: streams times their receivers."""
        if self.conference:
            return self.publishers * (self.publishers - 1)
        return self.publishers * self.subscribers

    @property
    def clients(self) -> int:
        return self.publishers + self.subscribers


def _video(name: str, publishers: int, subscribers: int, rate_pps: float, burst: int) -> Scenario:
    conference = subscribers == 0
    return Scenario(
        name, "video", publishers, subscribers, rate_pps, burst=burst, conference=conference
    )


def _audio(name: str, publishers: int, subscribers: int) -> Scenario:
    return Scenario(name, "audio", publishers, subscribers, 50, packets_per_frame=1)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        _video("1-10", 1, 10, 1_000, 1),
        _video("1-50", 1, 50, 600, 1),
        _video("1-50-slow", 1, 50, 200, 1),
        _video("1-50-bursts", 1, 50, 600, 10),
        _video("1-200", 1, 200, 100, 1),
        _video("1-500", 1, 500, 40, 1),
        _video("1-50-frames", 1, 50, 400, 4),
        _video("1-500-frames", 1, 500, 40, 4),
        _video("10-10", 10, 0, 300, 1),
        _video("10-10-bursts", 10, 0, 300, 10),
        _video("25-25", 25, 0, 50, 10),
        _audio("audio-1-50", 1, 50),
        _audio("audio-1-500", 1, 500),
        _audio("audio-10-100", 10, 100),
    )
}
QUICK = ("1-50", "1-50-bursts", "10-10-bursts", "audio-1-50")
FORWARDING = ("1-10", "1-50", "1-50-bursts", "10-10", "10-10-bursts", "audio-1-50")
EVERYTHING = tuple(SCENARIOS)
