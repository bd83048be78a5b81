"""One direction of a network path, sans-IO: loss, delay, rate, queue, filter, seeded.

The same rules as `tc netem` and `tc tbf`, without their kernel modules, and with a seed: the same
packets are lost on every run.
"""

import heapq
import random
from dataclasses import dataclass
from itertools import count

UDP = 17
_VERSION_4 = 0x45 >> 4


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a direction does to packets. `queue_ms`: what waits longer than this for the rate is
    dropped at the tail."""

    loss: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    rate_bps: float | None = None
    queue_ms: float = 300.0
    blocks_udp: bool = False


@dataclass(slots=True)
class Figures:
    """What a direction has done so far. `queued_ms`: the longest wait for the rate since they
    were last taken."""

    packets: int = 0
    bytes: int = 0
    lost: int = 0
    overflowed: int = 0
    blocked: int = 0
    queued_ms: float = 0.0


class Direction:
    """Packets on their way. Times are seconds of one monotonic clock."""

    def __init__(self, seed: int) -> None:
        self.conditions = Conditions()
        self.figures = Figures()
        self._random = random.Random(seed)
        self._travelling: list[tuple[float, int, bytes]] = []
        self._numbers = count()
        self._free_at = 0.0
        self._last_due = 0.0

    def send(self, now: float, packet: bytes) -> None:
        """Puts an IP packet on its way, or drops it."""
        rules, figures = self.conditions, self.figures
        if rules.blocks_udp and packet[0] >> 4 == _VERSION_4 and packet[9] == UDP:
            figures.blocked += 1
            return
        if self._random.random() < rules.loss:
            figures.lost += 1
            return
        sent_at = now
        if rules.rate_bps is not None:
            waits = max(0.0, self._free_at - now)
            if waits * 1_000 > rules.queue_ms:
                figures.overflowed += 1
                return
            figures.queued_ms = max(figures.queued_ms, waits * 1_000)
            sent_at = self._free_at = now + waits + len(packet) * 8 / rules.rate_bps
        late_ms = rules.delay_ms + self._random.random() * rules.jitter_ms
        # Jitter and changed conditions keep the order, as one path does.
        due = self._last_due = max(self._last_due, sent_at + late_ms / 1_000)
        figures.packets += 1
        figures.bytes += len(packet)
        heapq.heappush(self._travelling, (due, next(self._numbers), packet))

    def receive(self, now: float) -> bytes | None:
        """The next packet that has arrived by `now`."""
        if not self._travelling or self._travelling[0][0] > now:
            return None
        return heapq.heappop(self._travelling)[2]

    def due_at(self) -> float | None:
        """When the next packet arrives."""
        return self._travelling[0][0] if self._travelling else None

    def take_figures(self) -> Figures:
        """The figures since the last call."""
        taken, self.figures = self.figures, Figures()
        return taken
