"""The cables of `make bench-network`, and how its figures are judged."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

import bench
from bench.network.conditions import Conditions, Direction
from bench.network.figures import (
    Figure,
    Sample,
    at_least,
    at_most,
    concealed_share,
    frame_rate,
    in_step,
    percentile,
    told,
)
from bench.network.report import Run, as_json, as_page
from bench.network.scenarios import SCENARIOS

UDP_PACKET = bytes([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17]) + bytes(1_000)
TCP_PACKET = bytes([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6]) + bytes(1_000)


def arrivals(direction: Direction) -> list[tuple[float, bytes]]:
    found = []
    while (due := direction.due_at()) is not None:
        assert direction.receive(due - 1e-6) is None
        packet = direction.receive(due)
        assert packet is not None
        found.append((due, packet))
    return found


def send(conditions: Conditions, count: int, *, every_s: float = 0.01, seed: int = 1) -> Direction:
    direction = Direction(seed)
    direction.conditions = conditions
    for number in range(count):
        direction.send(number * every_s, UDP_PACKET + number.to_bytes(4))
    return direction


def test_packets_arrive_in_order_after_the_delay_also_with_jitter() -> None:
    found = arrivals(send(Conditions(delay_ms=25, jitter_ms=20), 200))
    numbers = [int.from_bytes(packet[-4:]) for _, packet in found]
    assert numbers == list(range(200))
    waits = [due - number * 0.01 for number, (due, _) in enumerate(found)]
    assert all(0.025 <= wait <= 0.0451 for wait in waits)


def test_the_asked_share_is_lost_and_the_same_packets_with_the_same_seed() -> None:
    first, again = (send(Conditions(loss=0.1), 5_000) for _ in range(2))
    other = send(Conditions(loss=0.1), 5_000, seed=2)
    assert 400 < first.figures.lost < 600
    assert arrivals(first) == (kept := arrivals(again))
    assert kept != arrivals(other)


def test_a_rate_spaces_packets_and_what_waits_too_long_is_dropped_at_the_tail() -> None:
    rate_bps = len(UDP_PACKET + bytes(4)) * 8 * 100
    conditions = Conditions(rate_bps=rate_bps, queue_ms=100)
    direction = send(conditions, 50, every_s=0.0)
    found = arrivals(direction)
    assert len(found) == 11
    steps = [later - earlier for (earlier, _), (later, _) in pairwise(found)]
    assert steps == pytest.approx([0.01] * 10)
    assert direction.figures.overflowed == 39
    assert direction.take_figures().queued_ms == pytest.approx(100)
    assert direction.figures.queued_ms == 0


def test_blocked_udp_lets_tcp_through() -> None:
    direction = Direction(1)
    direction.conditions = Conditions(blocks_udp=True)
    direction.send(0.0, UDP_PACKET)
    direction.send(0.0, TCP_PACKET)
    assert [packet for _, packet in arrivals(direction)] == [TCP_PACKET]
    assert direction.figures.blocked == 1


def sample(at: float, frames: int, samples: int, concealed: int) -> Sample:
    video = {"type": "inbound-rtp", "kind": "video", "framesDecoded": frames}
    audio = {
        "type": "inbound-rtp",
        "kind": "audio",
        "totalSamplesReceived": samples,
        "concealedSamples": concealed,
    }
    return {"at": at, "rows": [video, audio]}


def test_figures_are_what_grew_between_two_samples() -> None:
    before, after = sample(1_000, 10, 48_000, 480), sample(3_000, 50, 144_000, 1_440)
    assert frame_rate(before, after) == 20
    assert concealed_share(before, after) == 0.01
    assert percentile(range(100), 0.95) == 95


def test_a_scenario_passes_when_every_judged_figure_holds_and_one_was_judged() -> None:
    good, bad, neither = at_least("a", 2, "", 1), at_most("b", 2, "", 1), told("c", 3, "")

    def passed(*figures: Figure, error: str | None = None) -> bool:
        return Run("tcp", (figures,), error).passed

    assert passed(good, neither)
    assert not passed(good, bad)
    assert not passed(neither)
    assert not passed(good, error="it hung")


def test_audio_is_in_step_when_the_middle_of_both_sides_is_near() -> None:
    middle, longest = in_step([-70.0, 10.0, 60.0, 300.0, -20.0], ", of the other")
    assert middle.name == "audio and video apart, of the other, middle"
    assert (middle.value, middle.holds) == (60.0, True)
    assert (longest.value, longest.holds) == (300.0, None)
    assert in_step([-81.0])[0].holds is False


def test_a_stream_without_samples_is_not_taken_to_be_in_step() -> None:
    with pytest.raises(ValueError, match="no sample"):
        in_step([])


def test_the_page_shows_the_spread_the_bound_and_the_verdict_of_each_scenario() -> None:
    run = Run("tcp", ((at_most("took", 1.0, "s", 1.5),), (at_most("took", 2.0, "s", 1.5),)))
    about = {"date": "2026-01-01", "commit": "abc", "machine": "a machine"}
    page = as_page(as_json([run], about), SCENARIOS)
    assert "## tcp: **FAIL**" in page
    assert "| took | 1.5 (1 to 2) s | at most 1.5 | FAIL |" in page


def test_the_page_keeps_what_was_measured_of_scenarios_that_are_not_played_again():
    first, second = SCENARIOS[:2]
    about = {"date": "today", "commit": "abc", "machine": "one"}
    runs = [
        Run(one.name, ((at_most("a figure", number, "s", 5.0),),))
        for number, one in enumerate((first, second))
    ]
    before = as_page(as_json(runs, about), SCENARIOS)
    later = Run(second.name, ((at_most("a figure", 7.0, "s", 5.0),),))
    after = as_page(as_json([later], about), SCENARIOS, before)
    assert f"## {first.name}: pass" in after
    assert f"## {second.name}: **FAIL**" in after
    assert after.count("## ") == 2
    assert as_page(as_json(runs, about), SCENARIOS, after) == before


def test_the_page_has_every_function_that_is_run_in_it() -> None:
    folder = Path(bench.__file__).parent
    sources = "".join(path.read_text() for path in folder.rglob("*.py"))
    called = set(re.findall(r"\"bench\.(\w+)\(", sources))
    assert called >= {"join", "publish", "sample"}

    page = (folder / "network" / "page.js").read_text()
    given = page[page.rindex("return {") :]
    assert {name for name in called if not re.search(rf"\b{name}[,:]", given)} == set()
