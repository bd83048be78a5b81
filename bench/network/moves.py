"""Scenarios in which a client's address changes in the middle of a call."""

import asyncio
from typing import Any

from bench.network.browser import Browser
from bench.network.figures import Figure, at_most, percentile, told
from bench.network.stage import MOBILE, PUBLISHER, Stage

_CAMERA: dict[str, Any] = {"resolution": "640x480", "frameRate": 20, "scalableVideo": False}
_MOVES = 100
_REBINDINGS = 50
_SWAPS = 20
_OFFLINE_S = 0.3
_RESTARTED_S = 5.0
_SETTLE_S = 1.5
_USUAL_GAP_S = 1.2
_LONGEST_GAP_S = 8.0
_BOUND_MS = 700.0


async def move(stage: Stage) -> list[Figure]:
    """A client with two networks loses the one in use: first its interface goes down, then the link
    is cut where the client cannot see it."""
    await stage.publisher(**_CAMERA)
    first, _ = stage.topology.links[MOBILE]
    viewer = await stage.open(MOBILE)
    gaps: dict[str, list[float]] = {"interface gone": [], "cable cut": []}
    for number in range(_MOVES):
        kind = "cable cut" if number % 2 else "interface gone"
        await stage.enter(viewer)
        await viewer.run("bench.untilVideo()")
        await asyncio.sleep(_SETTLE_S)
        await viewer.run("bench.watchGaps()")
        if kind == "cable cut":
            first.both(loss=1.0)
        else:
            first.unplug()
        gaps[kind].append(await _gap_ms(viewer))
        await viewer.run("bench.leave()")
        first.clear()
        first.plug()
    return _told(gaps)


async def swap(stage: Stage) -> list[Figure]:
    """A subscriber with one network, which goes before another one comes: ICE restarts, and the
    WebSocket is resumed over a new connection."""
    await stage.publisher(**_CAMERA)
    here, other = stage.topology.links[MOBILE]
    other.unplug()
    viewer = await stage.viewer(MOBILE)
    gaps: list[float] = []
    for _ in range(_SWAPS):
        await asyncio.sleep(_RESTARTED_S)
        await viewer.run("bench.watchGaps()")
        here.unplug()
        await asyncio.sleep(_OFFLINE_S)
        other.plug()
        gaps.append(await _gap_ms(viewer))
        here, other = other, here
    events = [event["name"] for event in await stage.events(viewer)]
    return [
        at_most("media gap, 95th percentile", percentile(gaps, 0.95), "ms", 2_000.0),
        told("media gap, median", percentile(gaps, 0.5), "ms"),
        told("of it without any network", _OFFLINE_S * 1_000, "ms"),
        told("sockets resumed", events.count("sessionReconnected"), ""),
        at_most("streams lost", events.count("streamDestroyed"), "", 0.0),
        told("changes of network", len(gaps), ""),
    ]


async def rebind(stage: Stage) -> list[Figure]:
    """The source ports of a client's packets change without notice to either end: those of a
    subscriber, then those of the publisher."""
    await stage.publisher(**_CAMERA)
    viewer = await stage.viewer(MOBILE)
    gaps: dict[str, list[float]] = {}
    for client, name in ((MOBILE, "subscriber"), (PUBLISHER, "publisher")):
        link = stage.link(client)
        await asyncio.sleep(_SETTLE_S)
        for number in range(1, _REBINDINGS + 1):
            await viewer.run("bench.watchGaps()")
            link.rebind(number)
            gaps.setdefault(name, []).append(await _gap_ms(viewer))
    return _told(gaps)


async def _gap_ms(viewer: Browser) -> float:
    """The longest time without a packet, from now on until they come again."""
    await asyncio.sleep(_USUAL_GAP_S)
    waited_s = _USUAL_GAP_S
    while waited_s < _LONGEST_GAP_S and not await viewer.run("bench.flows()"):
        await asyncio.sleep(0.2)
        waited_s += 0.2
    return float(await viewer.run("bench.gap()"))


def _told(gaps: dict[str, list[float]]) -> list[Figure]:
    every = [gap for some in gaps.values() for gap in some]
    return [
        at_most("media gap, 95th percentile", percentile(every, 0.95), "ms", _BOUND_MS),
        told("media gap, median", percentile(every, 0.5), "ms"),
        told("media gap, longest", max(every), "ms"),
        *(
            told(f"95th percentile, {name}", percentile(some, 0.95), "ms")
            for name, some in gaps.items()
        ),
        told("changes of address", len(every), ""),
    ]
