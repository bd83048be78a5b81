"""What the benches of joins, memory, families, browsers and of older trees say of their figures."""

import json
from pathlib import Path

import pytest

from bench import before, browser, families, joins, memory
from bench.adapters.sealroute import Served
from bench.loadgen import ROOT
from tests.unit.bench.test_bench_figures import made


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_a_tree_of_its_own_is_run_by_its_own_environment(tmp_path):
    assert Served(tmp_path).python == str(tmp_path / ".venv/bin/python")
    assert Served().python != str(ROOT / "nowhere")


@pytest.mark.parametrize(("settings", "names"), [("[operations]\n", 1), ("[http]\n", 0)])
def test_an_old_tree_is_not_reported_of_a_port_that_it_does_not_know(tmp_path, settings, names):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/default.toml").write_text(settings)
    assert len(Served(tmp_path).operations(1)) == names


def test_joins_are_shown_for_each_tree_with_callbacks_and_without():
    kinds = [
        joins.Kind(Path("/a"), callbacks=False, cost_ms=[2.0, 3.0, 9.0]),
        joins.Kind(Path("/a"), callbacks=True, cost_ms=[4.0]),
    ]
    _, _, plain, told = cells(joins.table(kinds))
    assert plain == ["/a", "without callbacks", "3.00 (2.00..9.00)"]
    assert told[:2] == ["/a", "with callbacks"]


def test_memory_says_nothing_of_viewers_that_were_not_measured():
    found = memory.Found(Path("/a"), [90.0], [80.0], [])
    assert cells(memory.table([found]))[2][3] == "-"


def test_the_price_of_a_family_is_taken_round_by_round():
    rounds = {
        "127.0.0.1": [made("sealroute", 1.0), made("sealroute", 4.0)],
        "::": [made("sealroute", 2.0), made("sealroute", 8.0)],
    }
    found = cells(families.table(rounds))
    assert [row[0] for row in found[2:]] == ["127.0.0.1", "::"]
    assert found[3][2].startswith("2.00")


def test_encryption_is_compared_within_a_round_for_both_sides():
    calls = [
        browser.Call(False, publisher=10.0, viewer=20.0, frames=60.0),
        browser.Call(True, publisher=12.0, viewer=30.0, frames=59.0),
    ]
    rows = {row[0]: row for row in cells(browser.table(calls))[2:]}
    assert rows["publisher"][3].startswith("1.20")
    assert rows["viewer"][3].startswith("1.50")
    assert rows["frames decoded in a second"][3] == "-"


def test_decoded_frames_are_those_of_video():
    sample = {
        "rows": [
            {"type": "inbound-rtp", "kind": "video", "framesDecoded": 3},
            {"type": "inbound-rtp", "kind": "audio"},
            {"type": "outbound-rtp", "kind": "video", "framesDecoded": 9},
        ]
    }
    assert browser._decoded(sample) == [3]


def test_before_and_now_are_compared_by_their_medians(monkeypatch):
    told = {
        "/old": {"join_ms": [4.0, 4.0], "storm_join_ms": 8.0, "viewer_kib": 100.0},
        "/new": {"join_ms": [2.0, 2.0], "storm_join_ms": 4.0, "viewer_kib": 25.0},
    }
    delays = {"quiet_p99_us": 100.0, "stormy_p99_us": 300.0}

    def asked(tree, *words):
        if words[0] == "-m":
            return "paced: 5000 instructions per forwarded packet\nbursts: 4000 instructions ..."
        return json.dumps({**told[str(tree)], **delays})

    monkeypatch.setattr(before, "_asked", asked)
    monkeypatch.setattr(before, "starts", lambda tree: (90.0, 80.0))
    begun = []
    found = before.measure([Path("/old"), Path("/new")], 2, begun.append)
    rows = {row[0]: row[1:] for row in cells(before.table(*found))[2:]}
    assert rows["CPU of a join in rooms of 51, ms"][2] == "0.50"
    assert rows["memory of a viewer, KiB"][2] == "0.25"
    assert rows["instructions, paced"] == ["5000", "5000", "1.00"]
    assert rows["p99 delay of those already in, during / before"][0].startswith("3.00")
    assert begun[-2:] == ["round 2 of 2: /new", "round 2 of 2: /old"]
