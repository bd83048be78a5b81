"""What `bench.before` asks of a tree, with the tree's own client and load: `python -c` of this text
in the tree's folder, so that it runs with the modules of that tree. Prints one JSON document."""

import asyncio
import json
import sys
from typing import Any

from bench import loadgen, processes, scale
from bench.adapters.sealroute import SealrouteAdapter
from bench.scenarios import SCENARIOS

ROOM = SCENARIOS["1-50"]
ROOMS, VIEWERS, REST_S = 5, 200, 1.0
JOINS, OVER_S = 500, 5.0


async def joins(adapter: SealrouteAdapter) -> list[float]:
    """Milliseconds of CPU for each client of a room; the first room warms the server."""
    found = []
    for _ in range(1 + ROOMS):
        before = processes.cpu_s(adapter.pids())
        await adapter.join(ROOM)
        found.append((processes.cpu_s(adapter.pids()) - before) * 1e3 / ROOM.clients)
        await adapter.leave()
        await asyncio.sleep(REST_S)
    return found[1:]


async def viewer_kib(adapter: SealrouteAdapter) -> float:
    """Of each further viewer in a room of fifty."""
    await adapter.join(ROOM)
    await asyncio.sleep(REST_S)
    before = processes.resident_bytes(adapter.pids())
    for _ in range(VIEWERS):
        await adapter.join_late()
    await asyncio.sleep(REST_S)
    after = processes.resident_bytes(adapter.pids())
    await adapter.leave()
    return (after - before) / VIEWERS / 1_024


async def fresh(work: Any) -> Any:  # noqa: ANN401
    """On a server of its own."""
    adapter = SealrouteAdapter()
    try:
        await adapter.start()
        return await work(adapter)
    finally:
        await adapter.stop()


async def main() -> None:
    binary = await loadgen.build()
    found: dict[str, object] = {
        "join_ms": await fresh(joins),
        "viewer_kib": await fresh(viewer_kib),
    }
    storm = await fresh(lambda adapter: scale.storm(adapter, binary, JOINS, OVER_S))
    found |= {
        "storm_join_ms": storm.cpu_ms_per_join,
        "storm_failed": storm.failed,
        "quiet_p99_us": storm.quiet_p99_us,
        "stormy_p99_us": storm.stormy_p99_us,
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
