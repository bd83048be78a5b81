"""The instruction guard's judgement."""

import json

import pytest

from bench import guard


def test_growth_within_five_percent_passes_and_beyond_it_is_named() -> None:
    baseline = {"paced": 1_000.0}
    assert guard.verdicts({"paced": 1_050.0}, baseline) == []
    assert guard.verdicts({"paced": 500.0}, baseline) == []
    assert "5.1 % over 1000" in guard.verdicts({"paced": 1_051.0}, baseline)[0]


def test_a_figure_without_baseline_fails() -> None:
    assert len(guard.verdicts({"paced": 1.0}, {})) == 1


def test_counts_are_read_from_callgrinds_summary() -> None:
    assert guard.parse_references("==1== \n==1== I   refs:      12,345,678\n") == 12_345_678
    # It counted nothing: the function that it was to count has another name.
    for text in ("nothing", "==1== I   refs:      0\n"):
        with pytest.raises(guard.GuardError):
            guard.parse_references(text)


def test_a_growth_is_judged_by_what_the_toolchain_allows() -> None:
    baseline = {"paced": 1_000.0}
    assert guard.verdicts({"paced": 1_200.0}, baseline, guard.ALLOWED_ELSEWHERE) == []
    assert len(guard.verdicts({"paced": 1_301.0}, baseline, guard.ALLOWED_ELSEWHERE)) == 1


def test_the_baseline_names_its_toolchain_and_has_all_runs() -> None:
    document = json.loads(guard.BASELINE.read_text())
    assert document["toolchain"].startswith("rustc ")
    runs = {"paced", "bursts", "worker_paced", "worker_bursts", "split_paced", "split_bursts"}
    assert set(document["instructions"]) == runs
