"""The plot of the README, from the figures of `bench/RESULTS.md`. Pure, but for the last function.

`python -m bench.plot` writes `docs/images/benchmark.svg`; `make docs` calls it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench/RESULTS.md"
PLOT = ROOT / "docs/images/benchmark.svg"

SCENARIOS = {
    "1-50": "1 publisher, 50 viewers",
    "1-50-bursts": "the same in bursts of 10 packets",
    "1-200": "1 publisher, 200 viewers",
}
SERVERS = {
    "Sealroute": ("sealroute",),
    "mediasoup": ("mediasoup",),
    "Janus, its cheapest setting": (
        "janus-videoroom-ev0",
        "janus-videoroom-ev1",
        "janus-videoroom-ev2",
        "janus-streaming-ev0",
        "janus-streaming-ev1",
        "janus-streaming-ev2",
    ),
    "LiveKit": ("livekit",),
}
WIDTH, LEFT, RIGHT, BAR, GAP, TITLE, TOP = 760, 190, 50, 16, 5, 26, 44
OURS, THEIRS, INK, SOFT, GRID = "#0f766e", "#94a3b8", "#0f172a", "#475569", "#e2e8f0"


@dataclass(frozen=True, slots=True)
class Figures:
    """CPU microseconds per packet by (scenario, server), and what was measured on."""

    cost: Mapping[tuple[str, str], float]
    machine: str
    versions: Mapping[str, str]


def read(text: str) -> Figures:
    """The table of rounds and the introduction of `RESULTS.md`."""
    rounds = text.partition("\n## Rounds\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in rounds.splitlines()]
    cost = {
        (row[0], row[1]): float(row[2].split()[0]) for row in rows[2:] if row and _is_cost(row[2])
    }
    machine = re.search(r"cpu: ([^,]+), cores: (\d+)", text)
    versions = re.findall(
        r"\b(sealroute|janus|livekit|mediasoup) (?:livekit-server version )?([\w.-]+)",
        text.partition("Versions: ")[2].partition("\n")[0],
    )
    if not cost or machine is None:
        raise ValueError("bench/RESULTS.md has no table of rounds, or no machine")
    cpu = machine[1].replace("(R)", "").replace(" Processor", "")
    found = {name: version.rstrip(".") for name, version in versions}
    return Figures(cost, f"{cpu}, {machine[2]} cores", found)


def _is_cost(cell: str) -> bool:
    return re.fullmatch(r"[\d.]+( .*)?", cell) is not None


def bars(figures: Figures, scenario: str) -> list[tuple[str, float]]:
    """One for each server that was measured: its cheapest configuration, cheapest first."""
    found = []
    for name, kinds in SERVERS.items():
        costs = [figures.cost[scenario, kind] for kind in kinds if (scenario, kind) in figures.cost]
        if costs:
            found.append((name, min(costs)))
    return sorted(found, key=lambda bar: bar[1])


def plot(figures: Figures) -> str:
    groups = [(title, bars(figures, scenario)) for scenario, title in SCENARIOS.items()]
    most = max(cost for _, group in groups for _, cost in group)
    scale = (WIDTH - LEFT - RIGHT) / most
    y, parts = TOP, []
    for title, group in groups:
        parts.append(_text(LEFT, y + 16, title, SOFT, weight="600"))
        y += TITLE
        for name, cost in group:
            parts += _bar(name, cost, y, scale)
            y += BAR + GAP
    grid = [_grid_line(value, scale, y) for value in range(0, int(most) + 1, 5)]
    versions = ", ".join(f"{name} {version}" for name, version in figures.versions.items())
    how = "AES-128-GCM, 1,150-byte packets over loopback. bench/RESULTS.md has all rounds."
    notes = [
        _text(16, y + 38, f"{figures.machine}; {versions}.", SOFT, size=11),
        _text(16, y + 54, how, SOFT, size=11),
    ]
    return "\n".join([*_head(y + 66), *grid, *parts, *notes, "</svg>"]) + "\n"


def _head(height: int) -> Sequence[str]:
    title = "Server CPU per forwarded packet, in microseconds (shorter is better)"
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    font = 'font-family="system-ui, sans-serif" font-size="13"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font} role="img">',
        f"<title>{title}</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#f8fafc"/>',
        _text(16, 26, title, INK, weight="600", size=15),
    )


def _bar(name: str, cost: float, y: int, scale: float) -> list[str]:
    colour = OURS if name == "Sealroute" else THEIRS
    width = cost * scale
    return [
        _text(LEFT - 8, y + 12, name, INK, anchor="end"),
        f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{colour}"/>',
        _text(LEFT + width + 6, y + 12, f"{cost:.1f}", INK),
    ]


def _grid_line(value: int, scale: float, bottom: int) -> str:
    x = LEFT + value * scale
    line = f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="{GRID}"/>'
    return line + _text(x, bottom + 16, str(value), SOFT, anchor="middle", size=11)


def _text(  # noqa: PLR0913 - one place for what SVG asks of a text
    x: float,
    y: float,
    text: str,
    fill: str,
    *,
    anchor: str = "start",
    weight: str = "",
    size: int = 13,
) -> str:
    look = f'fill="{fill}" font-size="{size}" text-anchor="{anchor}"'
    bold = f' font-weight="{weight}"' if weight else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}{bold}>{escape(text)}</text>'


def main() -> None:
    PLOT.write_text(plot(read(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
