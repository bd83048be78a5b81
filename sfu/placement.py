"""Where a client of a session goes, if the server has several workers: pure rules.

A session on two workers costs more than on one: its streams cross between them, and what leaves in
two halves leaves in more system calls. So a session stays where it began until that worker is
nearly full of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

_STEP = 0.05
"""Of a core: a smaller difference in load is noise, and the number of sinks decides."""
_PROMISED = 0.005
"""Of a core, for each client sent to a worker since its load was last measured: about five videos
of 1 Mbit/s."""
_MEASURED_EVERY_S = 1.0
"""Long enough for the 20 ms in which a worker publishes its totals."""


@dataclass(frozen=True, slots=True)
class SplitRules:
    """A session gets a further worker when the least busy of its own is `load` of a core busy and
    sends more than `sinks` streams to this session's clients."""

    load: float = 0.6
    sinks: int = 25


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """`busy`: share of a core, 0 to 1. `sinks`: streams that it sends to clients of the
    session."""

    worker: int
    busy: float
    sinks: int = 0


def place(own: Sequence[WorkerLoad], others: Sequence[WorkerLoad], rules: SplitRules) -> int:
    """The worker of a session's next client. `own`: those that it has, at least one. `others`:
    those that it could have."""
    best = min(own, key=_order)
    if best.busy < rules.load or best.sinks <= rules.sinks or not others:
        return best.worker
    further = min(others, key=_order)
    # A worker that others keep as busy would help nobody.
    return further.worker if further.busy <= best.busy else best.worker


def _order(one: WorkerLoad) -> tuple[int, int, int]:
    return round(one.busy / _STEP), one.sinks, one.worker


class BusyMeter:
    """How busy a worker is, from its total CPU time when somebody looks. Clients that it was given
    since count before it can be measured what they cost."""

    def __init__(self) -> None:
        self._since: tuple[float, int] | None = None
        self._share = 0.0
        self._promised = 0

    def measure(self, now: float, read_cpu_us: Callable[[], int]) -> float:
        """The share of a core that it has used since it was measured last, some time ago. `now` in
        s. `read_cpu_us`: the CPU time so far."""
        if self._since is None:
            self._since = now, read_cpu_us()
        since, before_us = self._since
        if now - since >= _MEASURED_EVERY_S:
            cpu_us = read_cpu_us()
            self._share = (cpu_us - before_us) / 1e6 / (now - since)
            self._since = now, cpu_us
            self._promised = 0
        return self._share + self._promised * _PROMISED

    def promise(self) -> None:
        """It is given a client."""
        self._promised += 1
