"""`python -m bench.wide SUBSCRIBERS…`: one 720p publisher and as many subscribers as asked for.

Says how much of a core the server takes, what is lost, and how fast the subscribers joined. The
load generator shares the machine, so there is a number beyond which it is the one that loses.
"""

import argparse
import asyncio
import sys
from dataclasses import dataclass

from bench import loadgen, report
from bench.adapters import UnavailableError
from bench.adapters.sealroute import SealrouteAdapter
from bench.ending import run_program
from bench.loadgen import LoadError, Timing
from bench.measure import Round, machine, measure
from bench.scenarios import Scenario

PACKETS_PER_S = 160.0
"""Of 1,150 bytes: 1.5 Mbit/s."""
_REST_S = 2.0


@dataclass(frozen=True, slots=True)
class Width:
    subscribers: int
    core_share: float
    lost_share: float
    joins_per_s: float
    found: Round


def scenario(subscribers: int) -> Scenario:
    return Scenario("wide", "video", 1, subscribers, PACKETS_PER_S, burst=5, packets_per_frame=5)


async def width(subscribers: int, seconds: float) -> Width:
    """On a server of its own."""
    binary = await loadgen.build()
    adapter = SealrouteAdapter()
    await adapter.start()
    try:
        timing = Timing(silent_s=2.0, warm_s=2.0, window_s=seconds)
        found = await measure(adapter, scenario(subscribers), timing, binary)
    finally:
        await adapter.stop()
    expected = found.forwarded + found.lost
    return Width(
        subscribers=subscribers,
        core_share=found.gross_us * found.forwarded / 1e6 / seconds,
        lost_share=found.lost / max(expected, 1),
        joins_per_s=subscribers / found.join_s,
        found=found,
    )


def document(widths: list[Width]) -> str:
    rows = [
        (
            f"{one.subscribers:,}",
            f"{one.found.forwarded / one.found.raw['result']['window_s']:,.0f}",
            f"{one.core_share * 100:.0f} %",
            f"{one.found.gross_us:.2f}",
            f"{one.lost_share * 100:.3f} %",
            f"{one.found.p99_us / 1e3:.1f}",
            f"{one.joins_per_s:.0f}",
            f"{one.found.join_cpu_ms:.1f}",
            f"{one.found.rss_per_receiver_bytes / 1_024:.0f}",
        )
        for one in widths
    ]
    head = (
        "subscribers", "packets/s", "of a core", "us/packet", "lost", "p99 ms", "joins/s",
        "CPU ms/join", "KiB each",
    )  # fmt: skip
    return report.table(head, rows)


async def work(options: argparse.Namespace) -> int:
    widths = []
    for number in options.subscribers:
        widths.append(await width(number, options.seconds))
        print(document(widths[-1:]), flush=True)
        await asyncio.sleep(_REST_S)
    raw = [{"subscribers": one.subscribers, **one.found.as_json()} for one in widths]
    report.write_raw("wide", {"machine": machine(), "rounds": raw})
    print(document(widths))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.wide", description=__doc__)
    parser.add_argument("subscribers", type=int, nargs="*", default=[500, 1_000, 2_000, 3_000])
    parser.add_argument("--seconds", type=float, default=8.0)
    try:
        return asyncio.run(work(parser.parse_args()))
    except (UnavailableError, LoadError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    run_program(main)
