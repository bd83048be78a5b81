"""A server that was told to stop: new clients are refused, calls go on for a while."""

import pytest

from signaling.draining import LOOK_S, Drain, DrainEnd
from tests.fakes.clock import FakeClock


class Node:
    """Clients leave at the given times; waiting moves the clock."""

    def __init__(self, *leaving_s: float, second_signal_s: float = float("inf")) -> None:
        self.clock = FakeClock(0.0)
        self.leaving_s, self.second_signal_s = leaving_s, second_signal_s
        self.events: list[str] = []
        self.drain = Drain(lambda: self.events.append("refuses"), self.connections, self.clock)

    def connections(self) -> int:
        self.events.append("looks")
        return sum(when > self.clock.now_s for when in self.leaving_s)

    async def wait(self, seconds: float) -> bool:
        assert 0 < seconds <= LOOK_S
        self.clock.now_s = min(self.clock.now_s + seconds, self.second_signal_s)
        return self.clock.now_s >= self.second_signal_s


@pytest.mark.parametrize(
    ("node", "within_s", "end", "at_s"),
    [
        (Node(), 60, DrainEnd.EMPTY, 0),
        (Node(30), 0, DrainEnd.DEADLINE, 0),
        (Node(10.2, 30), 60, DrainEnd.EMPTY, 30),
        (Node(30), 20.3, DrainEnd.DEADLINE, 20.3),
        (Node(30, second_signal_s=7), 60, DrainEnd.HURRIED, 7),
    ],
)
async def test_it_ends_with_the_last_client_in_time_or_when_hurried(node, within_s, end, at_s):
    assert await node.drain.run(within_s, node.wait) is end
    assert node.clock.now_s == pytest.approx(at_s)
    assert node.events[0] == "refuses"
    assert node.events.count("refuses") == 1
