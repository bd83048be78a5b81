"""`python -m bench.egress`: what archives cost, against programs that make the same file, and
against forwarding. All take the same files, in turn, in the same run."""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import loadgen, report
from bench.adapters import UnavailableError
from bench.adapters.sealroute import SealrouteAdapter
from bench.client import ClientError
from bench.egress import inputs, peers
from bench.ending import run_program
from bench.loadgen import LoadError, Timing
from bench.measure import machine, measure
from bench.peer import PeerError
from bench.scenarios import SCENARIOS

PAGE = Path(__file__).parents[1] / "EGRESS.md"
PACKETS_PER_S = 160
"""Of one stream: video of 1 Mbit/s in packets of 1,150 bytes, and audio."""
LIVEKIT_CORES = 4
"""What LiveKit's documentation reserves for a room that it composes."""
Command = Callable[[Sequence[Path], Path], list[str]]


def _ours(kind: str) -> Command:
    def command(files: Sequence[Path], target: Path) -> list[str]:
        folder = target.with_suffix("")
        folder.mkdir()
        words = [sys.executable, "-m", "bench.egress.recorder", kind, str(folder)]
        return [*words, *map(str, files)]

    return command


def commands() -> dict[str, Command]:
    """By name, those that are here."""
    found = {"composed": _ours("composed"), "individual": _ours("individual")}
    others: dict[str, tuple[str, Command]] = {
        "ffmpeg": (peers.FFMPEG, peers.ffmpeg),
        "GStreamer": (peers.GSTREAMER, peers.gstreamer),
    }
    return found | {name: make for name, (word, make) in others.items() if shutil.which(word)}


async def cost_s(command: list[str]) -> float:
    """The processor time of a program and of all that it started. Errors: `RuntimeError`."""
    before = os.times()
    process = await asyncio.create_subprocess_exec(*command, cwd=Path.cwd())
    if await process.wait():
        raise RuntimeError(f"{Path(command[0]).name} failed")
    after = os.times()
    return (
        after.children_user + after.children_system - before.children_user - before.children_system
    )


async def work(options: argparse.Namespace) -> int:
    costs: dict[str, list[float]] = {name: [] for name in commands()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The shorter ones show what starting costs, which is not the media's.
        long = await inputs.made(folder, options.seconds)
        (folder / "short").mkdir()
        short = await inputs.made(folder / "short", 1)
        for number in range(options.rounds):
            for kind, make in commands().items():
                print(f"round {number + 1} of {options.rounds}: {kind}", file=sys.stderr)
                target = folder / f"{kind}-{number}.mkv"
                try:
                    start_s = await cost_s(make(short, target.with_stem(target.stem + "-short")))
                    all_s = await cost_s(make(long, target))
                except RuntimeError as failure:
                    print(f"bench: {failure}", file=sys.stderr)
                    continue
                costs[kind].append(max(0.0, all_s - start_s) / (options.seconds - 1))
    costs["forwarding"] = []
    if not options.no_forwarding:
        try:
            costs["forwarding"] = await forwarding(options)
        except (UnavailableError, LoadError, ClientError, PeerError) as failure:
            print(f"bench: {failure}", file=sys.stderr)
    raw = {"unix_s": int(time.time()), "machine": machine(), "cores_by_kind": costs}
    report.write_raw("egress", raw)
    text = page(costs, options)
    print(text)
    if options.write:
        PAGE.write_text(text + "\n")
    return 0


async def forwarding(options: argparse.Namespace) -> list[float]:
    """The share of a core for one stream to one subscriber, in each round."""
    binary = await loadgen.build()
    timing = Timing(silent_s=1.0, warm_s=1.0, window_s=4.0)
    adapter = SealrouteAdapter()
    await adapter.start()
    try:
        rounds = [
            await measure(adapter, SCENARIOS["1-50"], timing, binary) for _ in range(options.rounds)
        ]
    finally:
        await adapter.stop()
    return [one.gross_us * PACKETS_PER_S / 1_000_000 for one in rounds]


_ONE = 1 / inputs.PEOPLE
TARGETS: tuple[tuple[str, str, str, float, float], ...] = (
    ("a composed archive against the ffmpeg program", "composed", "ffmpeg", 1.0, 1.1),
    ("a composed archive against GStreamer", "composed", "GStreamer", 1.0, 0.85),
    ("a stream, recorded, against forwarding it once", "individual", "forwarding", _ONE, 0.5),
)
"""What, of which kind, against which, the part of it, and the most that it should be."""


def page(costs: dict[str, list[float]], options: argparse.Namespace) -> str:
    shares = [
        (kind, report.cell([100 * one for one in found], 1) if found else "not measured")
        for kind, found in costs.items()
    ]
    rows = []
    for what, kind, other, part, most in TARGETS:
        pairs = list(zip(costs.get(kind, []), costs.get(other, []), strict=False))
        ratios = [one * part / against for one, against in pairs if against]
        rows.append((what, report.cell(ratios) if ratios else "not measured", f"{most:g}"))
    ours = [one / LIVEKIT_CORES for one in costs["composed"]]
    rows.append(
        ("a composed archive against the 4 cores that LiveKit reserves", report.cell(ours), "0.25")
    )
    how = (
        f"Measured by `make bench-egress`: {inputs.PEOPLE} people of 640x480 at 30 frames a"
        f" second (VP8, 1 Mbit/s, Opus) for {options.seconds} s, composed at 1280x720 (H.264,"
        " veryfast, 2 Mbit/s, AAC) or written as they are, as fast as the machine does it;"
        f" {options.rounds} rounds in turn; medians, least and most. The cost of a start is"
        " taken off. Against a browser nothing is measured here."
    )
    return "\n".join(
        [
            "# What archives cost",
            "",
            how,
            "",
            report.table(("kind", "% of a core"), shares),
            "",
            report.table(("ratio", "x", "at most"), rows),
            "",
            f"Machine: {machine()}",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.egress", description=__doc__)
    parser.add_argument("--seconds", type=int, default=30, help="of media")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="bench/EGRESS.md")
    parser.add_argument("--no-forwarding", action="store_true")
    return asyncio.run(work(parser.parse_args()))


if __name__ == "__main__":
    run_program(main)
