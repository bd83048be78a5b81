"""Which worker a session's next client goes to."""

import pytest

from sfu.placement import BusyMeter, SplitRules, WorkerLoad, place

RULES = SplitRules(load=0.6, sinks=25)
IDLE = [WorkerLoad(1, 0.0), WorkerLoad(2, 0.0)]


@pytest.mark.parametrize(
    ("own", "others", "chosen"),
    [
        pytest.param([WorkerLoad(0, 0.9, 25)], IDLE, 0, id="few sinks"),
        pytest.param([WorkerLoad(0, 0.59, 500)], IDLE, 0, id="not busy"),
        pytest.param([WorkerLoad(0, 0.6, 26)], IDLE, 1, id="large and busy"),
        pytest.param([WorkerLoad(0, 0.9, 99)], [], 0, id="no other worker"),
        pytest.param([WorkerLoad(0, 0.7, 99)], [WorkerLoad(1, 0.8)], 0, id="others are busier"),
        pytest.param(
            [WorkerLoad(0, 0.7, 99)], [WorkerLoad(1, 0.5), WorkerLoad(2, 0.2)], 2, id="least busy"
        ),
        pytest.param(
            [WorkerLoad(0, 0.9, 99), WorkerLoad(1, 0.3, 4)], IDLE[1:], 1, id="own one has room"
        ),
        pytest.param(
            [WorkerLoad(0, 0.9, 99), WorkerLoad(1, 0.8, 80)], IDLE[1:], 2, id="all own are full"
        ),
        pytest.param(
            [WorkerLoad(0, 0.51, 40), WorkerLoad(1, 0.5, 50)], [], 0, id="equal: fewer sinks"
        ),
    ],
)
def test_a_client_goes(own, others, chosen):
    assert place(own, others, RULES) == chosen


def test_with_rules_of_zero_a_session_is_split_by_its_second_sink():
    rules = SplitRules(load=0.0, sinks=0)
    assert place([WorkerLoad(0, 0.0, 0)], IDLE, rules) == 0
    assert place([WorkerLoad(0, 0.0, 1)], IDLE, rules) == 1


def test_a_worker_is_measured_once_a_second_and_what_it_was_given_since_counts():
    meter = BusyMeter()
    assert meter.measure(10.0, lambda: 5_000_000) == 0.0
    assert meter.measure(12.0, lambda: 6_000_000) == pytest.approx(0.5)
    for _ in range(10):
        meter.promise()
    assert meter.measure(12.5, lambda: 7_000_000) == pytest.approx(0.55)
    assert meter.measure(13.0, lambda: 6_700_000) == pytest.approx(0.7)
