"""Tables, a plot and raw data from rounds. Pure, but for the one function that writes files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from bench.measure import Round, spread

RESULTS = Path(__file__).resolve().parent / "results"
_BAR_HEIGHT, _BAR_GAP, _LEFT, _WIDTH = 18, 6, 250, 760
_COLOURS = ("#2a6f97", "#c8553d", "#6a994e", "#8d6a9f", "#bc8a3c")


def cell(values: Sequence[float], digits: int = 2) -> str:
    """`median (least..most)`, or the only value."""
    if not values:
        return "-"
    middle, least, most = spread(list(values))
    if len(values) == 1:
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({least:.{digits}f}..{most:.{digits}f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def _grouped(rounds: Iterable[Round]) -> dict[tuple[str, str], list[Round]]:
    found: dict[tuple[str, str], list[Round]] = {}
    for one in rounds:
        found.setdefault((one.scenario, one.server), []).append(one)
    return found


def rounds_table(rounds: Sequence[Round]) -> str:
    """One row per scenario and server: medians with least and most over the rounds."""
    rows = []
    for (scenario, server), group in _grouped(rounds).items():
        lost, total = sum(r.lost for r in group), sum(r.lost + r.forwarded for r in group)
        rows.append(
            [
                scenario,
                server,
                cell([r.gross_us for r in group]),
                cell([r.net_us for r in group]),
                f"{lost} of {total}",
                cell([r.p50_us for r in group], 0),
                cell([r.p99_us for r in group], 0),
                cell([r.p999_us for r in group], 0),
                cell([r.idle_share * 100 for r in group]),
                cell([r.join_cpu_ms for r in group], 1),
                cell([r.connect_p50_ms for r in group], 0),
                cell([r.connect_p99_ms for r in group], 0),
                cell([r.rss_per_receiver_bytes / 1_024 for r in group], 0),
            ]
        )
    head = (
        "scenario", "server", "CPU us/packet", "net", "lost", "p50 us", "p99 us", "p99.9 us",
        "idle % of a core", "CPU ms/join", "connect p50 ms", "p99", "KiB/receiver",
    )  # fmt: skip
    return table(head, rows)


def floor_table(rounds: Sequence[Round], floors: Mapping[tuple[str, bool], Sequence[float]]) -> str:
    """Every server against the same sends without crypto, in batches and in segments."""
    rows = []
    for (scenario, server), group in _grouped(rounds).items():
        mine = spread([r.gross_us for r in group])[0]
        cells = [scenario, server]
        for segmented in (False, True):
            costs = list(floors.get((scenario, segmented), ()))
            ratio = f" = {mine / spread(costs)[0]:.2f} x" if costs else ""
            cells.append(cell(costs) + ratio)
        rows.append(cells)
    return table(("scenario", "server", "floor, sendmmsg", "floor, segmented"), rows)


def ratios(rounds: Sequence[Round], ours: str = "sealroute") -> dict[tuple[str, str], list[float]]:
    """How many times our cost a peer's is, round by round, by (scenario, peer)."""
    groups = _grouped(rounds)
    found: dict[tuple[str, str], list[float]] = {}
    for (scenario, server), group in groups.items():
        mine = groups.get((scenario, ours), [])
        if server != ours and mine:
            pairs = zip(group, mine, strict=False)
            found[scenario, server] = [peer.gross_us / own.gross_us for peer, own in pairs]
    return found


def ratio_table(rounds: Sequence[Round], ours: str = "sealroute") -> str:
    rows = [
        [scenario, server, f"{cell(values)} x"]
        for (scenario, server), values in ratios(rounds, ours).items()
    ]
    return table(("scenario", "server", f"its cost / {ours}'s"), rows)


def plot(rounds: Sequence[Round]) -> str:
    """An SVG of horizontal bars: median CPU per packet, with a line from least to most."""
    groups = _grouped(rounds)
    servers = list(dict.fromkeys(server for _, server in groups))
    widest = max((spread([r.gross_us for r in g])[2] for g in groups.values()), default=1.0)
    scale = (_WIDTH - _LEFT - 90) / max(widest, 1e-9)
    step = _BAR_HEIGHT + _BAR_GAP
    height = 40 + step * len(groups)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            'font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        (
            '<text x="10" y="20">CPU microseconds of the server per forwarded packet '
            "(median; line: least to most)</text>"
        ),
    ]
    for row, ((scenario, server), group) in enumerate(groups.items()):
        middle, least, most = spread([r.gross_us for r in group])
        y, centre = 34 + row * step, 34 + row * step + _BAR_HEIGHT / 2
        colour = _COLOURS[servers.index(server) % len(_COLOURS)]
        begin, end = _LEFT + least * scale, _LEFT + most * scale
        parts += [
            (
                f'<text x="{_LEFT - 8}" y="{centre + 4}" text-anchor="end">'
                f"{escape(scenario)}, {escape(server)}</text>"
            ),
            (
                f'<rect x="{_LEFT}" y="{y}" width="{middle * scale:.1f}" height="{_BAR_HEIGHT}" '
                f'fill="{colour}"/>'
            ),
            f'<line x1="{begin:.1f}" x2="{end:.1f}" y1="{centre}" y2="{centre}" stroke="black"/>',
            f'<text x="{end + 6:.1f}" y="{centre + 4}">{middle:.2f}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def write_raw(name: str, document: dict[str, Any]) -> Path:
    """Raw data as JSON under `bench/results`; its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path
