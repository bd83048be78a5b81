"""`python -m bench.memory`: memory of an idle server at its first start and at a later one, and of
each viewer."""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import processes, report
from bench.adapters import UnavailableError
from bench.adapters.sealroute import SealrouteAdapter, Served
from bench.client import ClientError
from bench.ending import run_program
from bench.loadgen import ROOT
from bench.measure import machine
from bench.peer import PeerError
from bench.ports import free_port
from bench.scenarios import Scenario

ROOM = Scenario("viewers", "video", 1, 50, 50)
"""Joined before the measurement: the first members take memory that each further one does not."""
FIRST_START, LATER_STARTS, VIEWER = "idle, first start, MB", "later starts, MB", "viewer, KiB"
_START_S = 30.0
_SETTLE_S = 3.0


@dataclass(slots=True)
class Found:
    """Of one tree: MB when it listens, KiB for each viewer; one figure for each round."""

    tree: Path
    first_mb: list[float] = field(default_factory=list)
    later_mb: list[float] = field(default_factory=list)
    viewer_kib: list[float] = field(default_factory=list)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def _running(served: Served, data: Path) -> Iterator[int]:
    """A server on this folder; its process id once it is ready."""
    port, operations = (free_port() for _ in range(2))
    process = subprocess.Popen(
        [
            served.python, "-m", "signaling", "serve",
            "--host", "127.0.0.1", "--port", str(port),
            "--media-host", "127.0.0.1", "--media-port", "0", "--public-ip", "127.0.0.1",
            "--data-dir", str(data), "--log-level", "warning",
        ],
        cwd=served.tree, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, **served.operations(operations)},
    )  # fmt: skip
    try:
        until_s = time.monotonic() + _START_S
        while not _is_ready(f"http://127.0.0.1:{port}"):
            if process.poll() is not None or time.monotonic() > until_s:
                raise UnavailableError(f"the server of {served.tree} did not start")
            time.sleep(0.1)
        time.sleep(_SETTLE_S)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def starts(tree: Path) -> tuple[float, float]:
    """Resident MB of the first start on a folder and of the next."""
    with tempfile.TemporaryDirectory(prefix="sealroute-bench-") as data:
        found = []
        for _ in range(2):
            with _running(Served(tree), Path(data)) as pid:
                found.append(processes.resident_bytes(processes.tree(pid)) / 1e6)
    return found[0], found[1]


async def viewer(tree: Path, viewers: int) -> float:
    """KiB of each further viewer of a room."""
    adapter = SealrouteAdapter(served=Served(tree))
    try:
        await adapter.start()
        await adapter.join(ROOM)
        await asyncio.sleep(_SETTLE_S)
        before = processes.resident_bytes(adapter.pids())
        for _ in range(viewers):
            await adapter.join_late()
        await asyncio.sleep(_SETTLE_S)
        after = processes.resident_bytes(adapter.pids())
        await adapter.leave()
    finally:
        await adapter.stop()
    return (after - before) / viewers / 1_024


async def measure(trees: Sequence[Path], rounds: int, viewers: int, *, late: bool) -> list[Found]:
    """`late`: also what a viewer takes, which needs a tree of the same protocol."""
    found = [Found(tree) for tree in trees]
    for number in range(rounds):
        for one in found if number % 2 == 0 else reversed(found):
            print(f"round {number + 1} of {rounds}: {one.tree}", file=sys.stderr)
            first, later = await asyncio.to_thread(starts, one.tree)
            one.first_mb.append(first)
            one.later_mb.append(later)
            if late:
                one.viewer_kib.append(await viewer(one.tree, viewers))
    return found


def table(found: Sequence[Found]) -> str:
    rows = [
        (
            str(one.tree),
            report.cell(one.first_mb, 1),
            report.cell(one.later_mb, 1),
            report.cell(one.viewer_kib, 0) if one.viewer_kib else "-",
        )
        for one in found
    ]
    return report.table(("tree", FIRST_START, LATER_STARTS, VIEWER), rows)


async def work(options: argparse.Namespace) -> int:
    found = await measure([ROOT, *options.tree], options.rounds, options.viewers, late=True)
    raw = [[str(one.tree), one.first_mb, one.later_mb, one.viewer_kib] for one in found]
    report.write_raw("memory", {"unix_s": int(time.time()), "machine": machine(), "memory": raw})
    print(table(found))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--tree", type=Path, action="append", default=[], help="and a built clone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--viewers", type=int, default=200)
    try:
        return asyncio.run(work(parser.parse_args()))
    except (UnavailableError, ClientError, PeerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    run_program(main)
