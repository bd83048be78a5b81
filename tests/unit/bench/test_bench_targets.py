"""When a target counts as reached."""

import pytest

from bench import targets
from bench.extras import Extras
from bench.scale import Idle, Storm
from bench.targets import OURS, TARGETS, Evidence
from tests.unit.bench.test_bench_figures import made


def verdict_of(text: str, rounds, floors=None) -> tuple[float | None, str]:
    (target,) = [target for target in TARGETS if target.text.startswith(text)]
    value = target.value(Evidence(rounds, floors or {}))
    return value, target.verdict(value)


@pytest.mark.parametrize(
    ("best", "word"), [(8.0, "goal"), (7.9, "must"), (6.0, "must"), (5.9, "MISSED")]
)
def test_the_cheapest_of_the_tuned_peers_is_what_we_are_compared_with(best, word):
    rounds = [
        made(OURS, 2.0),
        made("janus-videoroom-ev1", 20.0),
        made("janus-streaming-ev2", best),
        made("janus-videoroom-ev0", 1.0),
    ]
    assert verdict_of("1-50 paced: Janus at its best", rounds) == (best / 2, word)


def test_medians_are_compared_not_single_rounds():
    rounds = [made(OURS, cost) for cost in (2.0, 2.0, 50.0)]
    rounds += [made("janus-videoroom-ev1", cost) for cost in (8.0, 8.0, 1.0)]
    assert verdict_of("1-50 paced: Janus at its best", rounds) == (4.0, "goal")


def test_less_is_better_against_the_floor():
    floors = {("1-50", False): [1.0, 1.0, 9.0]}
    assert verdict_of("1-50 paced against the sends", [made(OURS, 1.5)], floors) == (1.5, "must")
    assert verdict_of("1-50 paced against the sends", [made(OURS, 1.7)], floors)[1] == "MISSED"


def test_what_was_not_measured_is_not_reached():
    assert verdict_of("p99 delay", [made(OURS, 2.0)]) == (None, "not measured")
    assert "not measured" in targets.table(Evidence([]))


def test_a_storm_is_judged_by_failures_and_by_those_already_in():
    storm = Storm(500, 1, 5.0, 0.1, 2.0, 3.0, 4.0, quiet_p99_us=1_000.0, stormy_p99_us=1_900.0)
    found = Evidence([], idle=Idle(1_000, 0.01, 200_000_000, 70_000_000), storm=storm)
    words = {target.text: target.verdict(target.value(found)) for target in TARGETS}
    assert words["500 joins in 5 s: failed"] == "MISSED"
    assert words["the same: p99 delay of those already in, against before"] == "goal"
    assert words["the same: p95 of the time to connect"] == "below the goal"
    assert words["memory of an idle server"] == "must"


def test_joins_and_memory_are_judged_by_their_medians():
    found = Evidence(
        [],
        joins_ms={"without callbacks": [2.0, 2.1, 9.0], "with callbacks": [3.4]},
        memory={"idle, first start, MB": [79.0], "viewer, KiB": [41.0]},
    )
    words = {target.text: target.verdict(target.value(found)) for target in TARGETS}
    assert words["CPU of a join, without callbacks"] == "goal"
    assert words["CPU of a join, all events delivered"] == "MISSED"
    assert words["the same after a first start"] == "must"
    assert words["memory of each further viewer"] == "must"


def test_joins_and_memory_have_sections_of_the_results_when_they_were_measured():
    extras = Extras(joins_ms={"without callbacks": [2.0]}, memory={"viewer, KiB": [41.0]})
    text = "\n".join(extras.sections())
    assert "| without callbacks | 2.00 |" in text
    assert "| viewer, KiB | 41.0 |" in text
    assert Extras().sections() == []
