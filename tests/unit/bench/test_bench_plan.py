"""What a run of the bench measures, and in which order."""

import pytest

from bench import compare, plan
from bench.plan import FULL, OURS, QUICKLY, STANDARD
from bench.scenarios import SCENARIOS


@pytest.mark.parametrize("chosen", [STANDARD, QUICKLY, FULL])
def test_every_step_is_a_scenario_that_we_are_measured_in(chosen):
    assert all(step.scenario in SCENARIOS and step.has(OURS) for step in chosen.steps)


def test_the_standard_run_has_every_scenario_and_the_targets_three_times():
    rounds = {step.scenario: step.rounds for step in STANDARD.steps}
    assert set(rounds) == set(SCENARIOS)
    assert {rounds[n] for n in ("1-50", "1-50-bursts", "10-10-bursts", "1-50-slow")} == {3}


def test_a_second_round_begins_when_all_scenarios_had_their_first():
    numbers = [number for _, number in STANDARD.turns()]
    assert numbers == sorted(numbers)
    assert numbers.count(0) == len(SCENARIOS)


def test_the_legacy_profile_of_peers_is_measured_where_all_servers_are():
    having = [s.scenario for s in STANDARD.steps if s.has("janus-videoroom-ev2-cm80")]
    assert having == ["1-50"]
    assert STANDARD.steps[0].has("sealroute-cm80")


def test_arguments_narrow_a_plan():
    options = compare.arguments(["--scenario", "1-50", "--rounds", "2", "--seconds", "1.5"])
    narrow = compare.plan_of(options)
    assert [(step.scenario, step.rounds) for step in narrow.steps] == [("1-50", 2)]
    assert narrow.timing.window_s == 1.5
    assert not narrow.extras


def test_names_of_the_plan_are_names_of_adapters():
    names = {adapter.name for adapter in compare.adapters()}
    assert names >= plan.MAIN
    assert {s for step in STANDARD.steps for s in step.without} <= names


def test_what_was_skipped_stands_in_the_results():
    run = compare.Run()
    run.miss("SKIPPED livekit: no program")
    assert "- SKIPPED livekit: no program" in compare.document(run)
