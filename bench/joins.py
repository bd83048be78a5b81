"""`python -m bench.joins`: what a join costs the server, without callbacks and with them.

What counts is the CPU of the server's process, all its threads: recording, queuing and posting of
events are in it. The clients and the application that takes the events are in this process, which
does not count. With callbacks a room is full when each of its events was answered, so that none is
left out.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from bench import processes, report
from bench.adapters import UnavailableError
from bench.adapters.sealroute import SealrouteAdapter, Served
from bench.client import ClientError
from bench.ending import run_program
from bench.loadgen import ROOT
from bench.measure import machine
from bench.peer import PeerError
from bench.scenarios import SCENARIOS

ROOM = SCENARIOS["1-50"]
EVENTS = 1 + ROOM.clients + ROOM.publishers
"""Of one room while it fills: the session, its connections, its streams."""
WITHOUT, WITH = "without callbacks", "with callbacks"
_REST_S = 0.7
"""After the last join, so that what callbacks cost afterwards counts as well."""
_IDLE_S = 3.0
_EVENTS_S = 10.0


@dataclass(slots=True)
class Kind:
    """One kind of server, and what a join cost it: milliseconds of CPU, one figure for a room."""

    tree: Path
    callbacks: bool
    cost_ms: list[float] = field(default_factory=list)
    delivered: int = 0
    arrival: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        return WITH if self.callbacks else WITHOUT


@asynccontextmanager
async def receiver(kind: Kind) -> AsyncIterator[str]:
    """An application that takes every event; its CPU is not the server's."""

    async def take(request: web.Request) -> web.Response:
        event = (await request.json())["event"]
        # The ends of the room before may still arrive.
        kind.delivered += event.endswith("Created")
        kind.arrival.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def _spent(adapter: SealrouteAdapter, seconds: float) -> float:
    began_s = processes.cpu_s(adapter.pids())
    await asyncio.sleep(seconds)
    return processes.cpu_s(adapter.pids()) - began_s


async def _delivered(kind: Kind, events: int) -> None:
    """Returns when so many events have arrived since the start."""
    try:
        async with asyncio.timeout(_EVENTS_S):
            while kind.delivered < events:
                kind.arrival.clear()
                await kind.arrival.wait()
    except TimeoutError:
        raise UnavailableError(f"{kind.delivered} of {events} callbacks arrived") from None


async def room(adapter: SealrouteAdapter, kind: Kind, idle_share: float) -> float:
    """Milliseconds of CPU for each client of a room, without what the idle server costs."""
    events = kind.delivered + EVENTS
    cpu_s, began_s = processes.cpu_s(adapter.pids()), time.monotonic()
    try:
        await adapter.join(ROOM)
        if kind.callbacks:
            await _delivered(kind, events)
        await asyncio.sleep(_REST_S)
        cpu_s = processes.cpu_s(adapter.pids()) - cpu_s
        took_s = time.monotonic() - began_s
    finally:
        await adapter.leave()
    # The next room begins when the events of this one's end have been delivered.
    await asyncio.sleep(_REST_S)
    return (cpu_s - idle_share * took_s) * 1e3 / ROOM.clients


async def _round(kind: Kind, rooms: int) -> None:
    """A server of its own, one room to warm it, then those that count."""
    async with receiver(kind) as url:
        adapter = SealrouteAdapter(served=Served(kind.tree, url if kind.callbacks else None))
        try:
            await adapter.start()
            idle_share = await _spent(adapter, _IDLE_S) / _IDLE_S
            await room(adapter, kind, idle_share)
            kind.cost_ms += [await room(adapter, kind, idle_share) for _ in range(rooms)]
        finally:
            await adapter.stop()


async def measure(trees: Sequence[Path], rounds: int, rooms: int) -> list[Kind]:
    """All kinds in turn, and the other way round in every second round."""
    kinds = [Kind(tree, callbacks) for callbacks in (False, True) for tree in trees]
    for number in range(rounds):
        for kind in kinds if number % 2 == 0 else reversed(kinds):
            print(f"round {number + 1} of {rounds}: {kind.tree} {kind.name}", file=sys.stderr)
            await _round(kind, rooms)
    return kinds


def table(kinds: Sequence[Kind]) -> str:
    rows = [(str(kind.tree), kind.name, report.cell(kind.cost_ms)) for kind in kinds]
    return report.table(("tree", "project", "CPU ms for a join"), rows)


async def work(options: argparse.Namespace) -> int:
    kinds = await measure([ROOT, *options.tree], options.rounds, options.rooms)
    found = [[str(kind.tree), kind.name, kind.cost_ms] for kind in kinds]
    report.write_raw("joins", {"unix_s": int(time.time()), "machine": machine(), "joins": found})
    print(table(kinds))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.joins", description=__doc__)
    parser.add_argument("--tree", type=Path, action="append", default=[], help="and a built clone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rooms", type=int, default=5, help="of 51 clients, for each round")
    try:
        return asyncio.run(work(parser.parse_args()))
    except (UnavailableError, ClientError, PeerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    run_program(main)
