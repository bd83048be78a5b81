"""The plot shows what was measured."""

import pytest

from bench.plot import PLOT, RESULTS, SCENARIOS, Figures, bars, plot, read


def test_the_plot_is_of_the_results_that_are_committed():
    assert PLOT.read_text() == plot(read(RESULTS.read_text())), "run: make docs"


def test_each_server_stands_with_its_cheapest_setting_and_one_that_was_not_measured_is_left_out():
    cost = {
        ("1-50", "sealroute"): 3.0,
        ("1-50", "janus-videoroom-ev0"): 20.0,
        ("1-50", "janus-streaming-ev2"): 9.0,
    }
    figures = Figures(cost, "a machine", {})
    assert bars(figures, "1-50") == [("Sealroute", 3.0), ("Janus, its cheapest setting", 9.0)]


def test_every_scenario_of_the_plot_was_measured_with_this_server():
    figures = read(RESULTS.read_text())
    assert all((scenario, "sealroute") in figures.cost for scenario in SCENARIOS)
    assert {"sealroute", "janus", "livekit", "mediasoup"} == set(figures.versions)


def test_results_without_rounds_are_refused():
    with pytest.raises(ValueError, match="no table of rounds"):
        read("# Benchmark results\n\nMachine: cpu: A, cores: 2, kernel: 6.")
