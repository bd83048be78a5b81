"""The figures of one session on two workers."""

import os
from types import SimpleNamespace

import pytest

from bench.split import MUST, ONE, TWO, environment, knobs, page, ratios


def rounds(*costs):
    return [SimpleNamespace(gross_us=cost, p99_us=100.0, lost=0, corrupt=0) for cost in costs]


FOUND = {ONE: rounds(2.0, 4.0, 3.0), TWO: rounds(2.2, 4.8, 3.3)}


def test_neighbours_in_time_are_compared():
    assert ratios(FOUND) == pytest.approx([1.1, 1.2, 1.1])


def test_the_page_shows_the_ratio_its_bounds_and_the_room_that_two_cores_have():
    text = page({"1-50": FOUND}, "3 rounds")
    (row,) = [line for line in text.splitlines() if line.startswith("| 1-50")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[3:6] == ["1.10 (1.10..1.20)", "1.30, 1.15", "1.82"]


def test_each_worker_gets_half_of_the_viewers_and_the_settings_are_put_back():
    values = knobs(2, 50)
    assert values["SEALROUTE_MEDIA_SPLIT_SINKS"] == "25"
    name = "SEALROUTE_MEDIA_SPLIT_LOAD"
    assert name not in os.environ
    with environment(values):
        assert os.environ[name] == "0"
    assert name not in os.environ


def test_there_is_a_bound_for_each_session():
    assert all(goal < bound for bound, goal in MUST.values())
