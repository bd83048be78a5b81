"""What the bench of attacks says of its figures."""

from bench.attack import report
from bench.attack.scenarios import SCENARIOS
from bench.network.figures import at_most, told

ABOUT = {"date": "2026-01-02", "commit": "abc", "machine": "a machine"}


def test_a_broken_bound_fails_the_attack_and_shows():
    found = report.as_json([told("sent", 1_234_567, ""), at_most("lost", 0.5, "%", 0.1)], ABOUT)
    assert found["passed"] is False
    page = report.as_page({"noise": found})
    assert "## noise (gate 3): **FAIL**" in page
    assert "| lost | 0.5 % | at most 0.1 | FAIL |" in page


def test_figures_without_a_bound_are_reported_and_not_judged():
    found = report.as_json([told("sent", 1_234_567, "")], ABOUT)
    assert found["passed"] is True
    assert "| sent | 1,234,567  |  |  |" in report.as_page({"checks": found})


def test_attacks_that_are_not_played_keep_their_results(tmp_path):
    raw, page = tmp_path / "results" / "attacks.json", tmp_path / "ATTACKS.md"
    found = report.as_json([told("sent", 1, "")], ABOUT)
    report.write({"noise": found}, raw, page)
    report.write({"checks": found}, raw, page)
    text = page.read_text()
    assert text.index("## noise") < text.index("## checks")


def test_every_attack_has_a_gate_and_a_name_of_its_own():
    assert len({one.name for one in SCENARIOS}) == len(SCENARIOS)
    assert len({one.gate for one in SCENARIOS}) == len(SCENARIOS)
