"""`python -m bench.families`: the price of `::`. The same load of IPv4 on a server that takes media
on an address of IPv4, and on one that takes it on `::`, in turn."""

import argparse
import asyncio
import sys
import time

from bench import loadgen, report
from bench.adapters import UnavailableError
from bench.adapters.sealroute import SealrouteAdapter, Served
from bench.client import ClientError
from bench.ending import run_program
from bench.loadgen import LoadError, Timing
from bench.measure import Round, machine, measure
from bench.peer import PeerError
from bench.scenarios import SCENARIOS

HOSTS = ("127.0.0.1", "0.0.0.0", "::")


async def work(options: argparse.Namespace) -> int:
    binary = await loadgen.build()
    timing = Timing(silent_s=1.0, warm_s=1.0, window_s=options.seconds)
    adapters = {host: SealrouteAdapter(served=Served(media_host=host)) for host in HOSTS}
    found: dict[str, list[Round]] = {host: [] for host in HOSTS}
    try:
        for adapter in adapters.values():
            await adapter.start()
        for number in range(options.rounds):
            for host in HOSTS if number % 2 == 0 else reversed(HOSTS):
                print(f"round {number + 1} of {options.rounds}: {host}", file=sys.stderr)
                scenario = SCENARIOS[options.scenario]
                found[host].append(await measure(adapters[host], scenario, timing, binary))
    finally:
        for adapter in adapters.values():
            await adapter.stop()
    raw = {host: [one.as_json() for one in rounds] for host, rounds in found.items()}
    report.write_raw("families", {"unix_s": int(time.time()), "machine": machine(), "hosts": raw})
    print(table(found))
    return 0


def table(found: dict[str, list[Round]]) -> str:
    """Ratios are taken round by round, to the first host."""
    first = found[HOSTS[0]]
    rows = [
        (
            host,
            report.cell([one.gross_us for one in rounds]),
            report.cell([a.gross_us / b.gross_us for a, b in zip(rounds, first, strict=True)]),
            str(sum(one.lost for one in rounds)),
        )
        for host, rounds in found.items()
    ]
    return report.table(("media host", "CPU us/packet", "x", "lost"), rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.families", description=__doc__)
    parser.add_argument("--scenario", default="1-50", choices=sorted(SCENARIOS))
    parser.add_argument("--seconds", type=float, default=4.0, help="measured window")
    parser.add_argument("--rounds", type=int, default=5)
    try:
        return asyncio.run(work(parser.parse_args()))
    except (UnavailableError, LoadError, ClientError, PeerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    run_program(main)
