"""Results as JSON and as bench/ATTACKS.md."""

import json
from pathlib import Path
from typing import Any

from bench.attack.scenarios import SCENARIOS, Scenario
from bench.network.figures import Figure
from bench.report import table

FOLDER = Path(__file__).parents[1]
RAW = FOLDER / "results" / "attacks.json"
PAGE = FOLDER / "ATTACKS.md"


def as_json(figures: list[Figure], about: dict[str, str]) -> dict[str, Any]:
    """One scenario that was played to its end."""
    return {
        **about,
        "passed": all(figure.holds is not False for figure in figures),
        "figures": [
            {
                "name": figure.name,
                "value": round(figure.value, 4),
                "unit": figure.unit,
                "bound": figure.bound,
                "side": figure.side,
                "holds": figure.holds,
            }
            for figure in figures
        ],
    }


def write(found: dict[str, Any], raw: Path = RAW, page: Path = PAGE) -> None:
    """Writes both; scenarios that were not played this time keep their earlier results."""
    if raw.exists():
        found = {**json.loads(raw.read_text()), **found}
    raw.parent.mkdir(exist_ok=True)
    raw.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    page.write_text(as_page(found))


def as_page(found: dict[str, Any]) -> str:
    lines = [
        "# A call under attack",
        "",
        "Measured by `make bench-attack`: one server, a call of one publisher (300 packets a",
        "second) and ten subscribers that check every packet, and attackers, all on one machine;",
        "so the attackers take CPU from the server that elsewhere they would not. Gates are those",
        "of docs/hardening.md.",
        "",
    ]
    for scenario in SCENARIOS:
        result = found.get(scenario.name)
        if result is not None:
            lines += _section(scenario, result)
    return "\n".join(lines)


def _section(scenario: Scenario, result: dict[str, Any]) -> list[str]:
    verdict = "pass" if result["passed"] else "**FAIL**"
    rows = []
    for figure in result["figures"]:
        bound = "" if figure["bound"] is None else f"{figure['side']} {figure['bound']:g}"
        mark = {None: "", True: "pass", False: "FAIL"}[figure["holds"]]
        rows.append((figure["name"], f"{shown(figure['value'])} {figure['unit']}", bound, mark))
    return [
        f"## {scenario.name} (gate {scenario.gate}): {verdict}",
        "",
        f"{scenario.does}. {result['machine']}, {result['date']}, commit {result['commit']}.",
        "",
        table(("figure", "measured", "bound", ""), rows),
        "",
    ]


def shown(value: float) -> str:
    """Four digits are enough for what is small."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
