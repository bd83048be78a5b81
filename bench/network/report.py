"""Results as JSON and as bench/NETWORK.md."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.network.figures import Figure
from bench.network.scenarios import SCENARIOS, Scenario

FOLDER = Path(__file__).parents[1]
RAW = FOLDER / "results" / "network.json"
PAGE = FOLDER / "NETWORK.md"


@dataclass(frozen=True, slots=True)
class Run:
    """One scenario, played once or several times. `error`: why it could not be played to its
    end."""

    scenario: str
    figures: tuple[tuple[Figure, ...], ...]
    error: str | None = None

    @property
    def passed(self) -> bool:
        judged = [figure.holds for figures in self.figures for figure in figures]
        return self.error is None and False not in judged and True in judged


def as_json(runs: Iterable[Run], about: dict[str, Any]) -> dict[str, Any]:
    return {
        **about,
        "scenarios": {
            run.scenario: {
                "passed": run.passed,
                "error": run.error,
                "measured": f"{about['date']}, commit {about['commit']}",
                "runs": [
                    {
                        figure.name: {
                            "value": round(figure.value, 4),
                            "unit": figure.unit,
                            "bound": figure.bound,
                            "side": figure.side,
                            "holds": figure.holds,
                        }
                        for figure in figures
                    }
                    for figures in run.figures
                ],
            }
            for run in runs
        },
    }


def write(found: dict[str, Any], raw: Path = RAW, page: Path = PAGE) -> None:
    """Writes both; scenarios that were not played this time keep their earlier results, on the
    page also those that were measured elsewhere."""
    kept = page.read_text() if page.exists() else ""
    page.write_text(as_page(found, SCENARIOS, kept))
    if raw.exists():
        earlier = json.loads(raw.read_text())["scenarios"]
        found = {**found, "scenarios": {**earlier, **found["scenarios"]}}
    raw.parent.mkdir(exist_ok=True)
    raw.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def as_page(found: dict[str, Any], scenarios: Sequence[Scenario], kept: str = "") -> str:
    """`kept`: a page of before, for the scenarios that `found` does not have."""
    lines = [
        "# Calls on bad networks",
        "",
        "Measured by `make bench-network`: the server, a publisher and each subscriber in a",
        "network namespace of its own; publisher and viewers are headless Chromium, figures by",
        "`getStats()`; every call is end-to-end encrypted. Each client hangs on a cable",
        "(`bench/network/link.py`) that loses, delays and queues packets by a seed, so that every",
        "run loses the same share. Middle of the runs, and in brackets the least and the most.",
        "",
        f"{found['machine']}",
        "",
    ]
    for scenario in scenarios:
        result = found["scenarios"].get(scenario.name)
        if result is not None:
            lines += _section(scenario, result)
        else:
            lines += _kept_section(kept, scenario)
    return "\n".join(lines)


def _kept_section(page: str, scenario: Scenario) -> list[str]:
    sections = (section.strip() for section in page.split("\n## ")[1:])
    found = [section for section in sections if section.startswith(f"{scenario.name}:")]
    return [f"## {found[0]}", ""] if found else []


def _section(scenario: Scenario, result: dict[str, Any]) -> list[str]:
    verdict = "pass" if result["passed"] else "**FAIL**"
    lines = [f"## {scenario.name}: {verdict}", "", f"{scenario.must} ({result['measured']})", ""]
    if result["error"]:
        lines += [f"Could not be played to its end: {result['error']}", ""]
    runs = result["runs"]
    if not runs:
        return lines
    lines += ["| figure | measured | bound | |", "|---|---|---|---|"]
    for name, first in runs[0].items():
        values = [run[name]["value"] for run in runs if name in run]
        bound = "" if first["bound"] is None else f"{first['side']} {first['bound']:g}"
        verdicts = [run[name]["holds"] for run in runs if name in run]
        mark = "" if None in verdicts else ("pass" if all(verdicts) else "FAIL")
        lines.append(f"| {name} | {_spread(values)} {first['unit']} | {bound} | {mark} |")
    return [*lines, ""]


def _spread(values: list[float]) -> str:
    middle = f"{median(values):.4g}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.4g} to {max(values):.4g})"
