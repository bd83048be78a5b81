"""The scenarios: what is done to a call, and what must be true of it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.network import Json
from bench.network.browser import Browser
from bench.network.conditions import Conditions
from bench.network.figures import (
    Figure,
    Sample,
    at_least,
    at_most,
    buffered_ms,
    concealed_share,
    frame_rate,
    frozen_s,
    grown,
    in_step,
    per_s,
    told,
)
from bench.network.moves import move, rebind, swap
from bench.network.served import SECRET
from bench.network.stage import GOOD, IMPAIRED, Stage

MEGABIT = 1_000_000
SETTLE_S = 4.0
_LOOK_EVERY_S = 0.25
_CAMERA: dict[str, Json] = {"resolution": "640x480", "frameRate": 20, "scalableVideo": False}
_LAYERS: dict[str, Json] = {"resolution": "1280x720", "frameRate": 20, "scalableVideo": True}
_WAY_MS = 25.0
"""One way of a round trip of 50 ms."""

Play = Callable[[Stage], Awaitable[list[Figure]]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`must` is what the figures judge, `limit_s` ends a run that hangs."""

    name: str
    must: str
    play: Play
    limit_s: float = 120.0
    repeats: int = 3


async def loss_10(stage: Stage) -> list[Figure]:
    return await _lossy(stage, _LOSSY, Conditions(delay_ms=_WAY_MS))


async def loss_10_both(stage: Stage) -> list[Figure]:
    return await _lossy(stage, _LOSSY, _LOSSY)


_LOSSY = Conditions(loss=0.10, delay_ms=_WAY_MS)


async def _lossy(stage: Stage, down: Conditions, up: Conditions) -> list[Figure]:
    await stage.publisher(**_CAMERA)
    impaired, good = await stage.viewer(IMPAIRED), await stage.viewer(GOOD)
    stage.link(IMPAIRED).set(down, up)
    await stage.watch_sync(impaired, good)
    await asyncio.sleep(SETTLE_S)
    (bad, fine) = await stage.over(20.0, impaired, good)
    return [
        at_least("frame rate, of the good link's", frame_rate(*bad) / frame_rate(*fine), "", 0.95),
        at_most(
            "audio made up, more than on the good link",
            (concealed_share(*bad) - concealed_share(*fine)) * 100,
            "%",
            1.0,
        ),
        told("audio made up on the good link", concealed_share(*fine) * 100, "%"),
        told("video frozen", frozen_s(*bad), "s"),
        told("video buffered", buffered_ms(*bad, "video"), "ms"),
        told("audio buffered", buffered_ms(*bad, "audio"), "ms"),
        told("retransmissions", per_s(*bad, "video", "retransmittedPacketsReceived"), "/s"),
        at_most("key frames asked for", per_s(*bad, "video", "pliCount"), "/s", 0.2),
        *in_step(await stage.audio_ahead_ms(impaired)),
        *in_step(await stage.audio_ahead_ms(good), " on the good link"),
    ]


async def loss_30(stage: Stage) -> list[Figure]:
    await stage.publisher(**_CAMERA)
    impaired = await stage.viewer(IMPAIRED)
    stage.link(IMPAIRED).both(delay_ms=_WAY_MS)
    await stage.watch_sync(impaired)
    await asyncio.sleep(SETTLE_S)
    ((before, usual),) = await stage.over(5.0, impaired)
    stage.link(IMPAIRED).both(loss=0.30, delay_ms=_WAY_MS)
    ((_, during),) = await stage.over(10.0, impaired)
    stage.link(IMPAIRED).both(delay_ms=_WAY_MS)
    recovered_s = await _until_frame_rate(stage, impaired, 0.95 * frame_rate(before, usual), 15.0)
    return [
        at_most("back at 95 % of the frame rate", recovered_s, "s", 3.0),
        told("frame rate during loss", frame_rate(usual, during), "/s"),
        told("audio made up during loss", concealed_share(usual, during) * 100, "%"),
        told("video frozen during loss", frozen_s(usual, during), "s"),
        *in_step(await stage.audio_ahead_ms(impaired)),
    ]


async def _until_frame_rate(stage: Stage, browser: Browser, wanted: float, limit_s: float) -> float:
    """When the second begins in which that many frames are decoded, from now on."""
    started = time.monotonic()
    samples: list[tuple[float, Sample]] = []
    while (now := time.monotonic() - started) < limit_s:
        samples.append((now, await stage.sample(browser)))
        earlier = [(at, one) for at, one in samples if now - at >= 1.0]
        if earlier and frame_rate(earlier[-1][1], samples[-1][1]) >= wanted:
            return earlier[-1][0]
        await asyncio.sleep(_LOOK_EVERY_S)
    return limit_s


async def step_down(stage: Stage) -> list[Figure]:
    link = stage.link(IMPAIRED)
    link.set(_down(3 * MEGABIT))
    await stage.publisher(filmed=True, **_LAYERS)
    impaired, good = await stage.viewer(IMPAIRED), await stage.viewer(GOOD)
    await stage.watch_sync(impaired, good)
    await asyncio.sleep(15.0)
    ((before, usual), (good_before, good_usual)) = await stage.over(5.0, impaired, good)
    usual_bps = per_s(before, usual, "video", "bytesReceived") * 8
    link.set(_down(600_000))
    await asyncio.sleep(3.0)
    link.figures()
    ((narrow_before, narrow),) = await stage.over(12.0, impaired)
    queued_ms = link.figures()["down"]["queued_ms"]
    link.set(_down(3 * MEGABIT))
    back_s = await _until_rate(stage, impaired, 0.9 * usual_bps, 30.0)
    good_after = await stage.sample(good)
    good_rate = frame_rate(good_usual, good_after) / frame_rate(good_before, good_usual)
    return [
        at_least("rate before", usual_bps / 1_000, "kbit/s", 1_000.0),
        at_most("queue, from 3 s after the step on", queued_ms, "ms", 300.0),
        at_most("back at 90 % of the rate", back_s, "s", 15.0),
        told("frame rate at 600 kbit/s", frame_rate(narrow_before, narrow), "/s"),
        told("video frozen at 600 kbit/s", frozen_s(narrow_before, narrow), "s"),
        told("audio made up at 600 kbit/s", concealed_share(narrow_before, narrow) * 100, "%"),
        at_least("the other's frame rate, of before", good_rate, "", 0.95),
        at_most("the other frozen", frozen_s(good_usual, good_after), "s", 0.0),
        *in_step(await stage.audio_ahead_ms(impaired)),
        *in_step(await stage.audio_ahead_ms(good), ", of the other"),
    ]


def _down(rate_bps: float) -> Conditions:
    """A link whose queue takes a second: more than any client should have to wait."""
    return Conditions(rate_bps=rate_bps, delay_ms=_WAY_MS, queue_ms=1_000.0)


async def _until_rate(stage: Stage, browser: Browser, wanted_bps: float, limit_s: float) -> float:
    started = time.monotonic()
    samples: list[tuple[float, Sample]] = []
    while (now := time.monotonic() - started) < limit_s:
        samples.append((now, await stage.sample(browser)))
        earlier = [(at, one) for at, one in samples if now - at >= 2.0]
        if earlier:
            rate = per_s(earlier[-1][1], samples[-1][1], "video", "bytesReceived") * 8
            if rate >= wanted_bps:
                return earlier[-1][0]
        await asyncio.sleep(2 * _LOOK_EVERY_S)
    return limit_s


async def starve(stage: Stage) -> list[Figure]:
    await stage.publisher(**_LAYERS)
    impaired = await stage.viewer(IMPAIRED)
    await asyncio.sleep(SETTLE_S)
    stage.link(IMPAIRED).set(_down(80_000))
    await asyncio.sleep(10.0)
    ((before, after),) = await stage.over(15.0, impaired)
    disabled = [event for event in await stage.events(impaired) if event["name"] == "videoDisabled"]
    stage.link(IMPAIRED).clear()
    back_s = await _until_frame_rate(stage, impaired, 5.0, 20.0)
    return [
        at_most("audio made up", concealed_share(before, after) * 100, "%", 1.0),
        at_most("video frames", grown(before, after, "video", "framesDecoded"), "", 0.0),
        at_least("videoDisabled events", len(disabled), "", 1.0),
        at_least(
            "of them for the quality",
            sum(event.get("reason") == "quality" for event in disabled),
            "",
            1.0,
        ),
        told("video is back after", back_s, "s"),
    ]


_SWITCHES = 100
_SIZES = ((320, 180), (1280, 720), (640, 360), (1280, 720))


async def switches(stage: Stage) -> list[Figure]:
    await stage.publisher(**_LAYERS)
    viewer = await stage.viewer(IMPAIRED)
    await stage.watch_sync(viewer)
    await asyncio.sleep(SETTLE_S)
    await viewer.run("bench.watchFrames()")
    before = await stage.sample(viewer)
    for number in range(_SWITCHES):
        width, height = _SIZES[number % len(_SIZES)]
        await viewer.run(f"bench.prefer({width}, {height})")
        await asyncio.sleep(1.0)
    after = await stage.sample(viewer)
    seen = await viewer.run("bench.framesSeen()")
    return [
        at_least("changes of the frame's size", seen["changes"], "", _SWITCHES * 0.9),
        at_most("longest time without a new frame", seen["longestMs"], "ms", 1_000.0),
        told("95th percentile between frames", seen["p95Ms"], "ms"),
        told("freezes counted by Chromium", grown(before, after, "video", "freezeCount"), ""),
        at_most("frames dropped undecoded", grown(before, after, "video", "framesDropped"), "", 20),
        *in_step(await stage.audio_ahead_ms(viewer)),
    ]


_NARROW_BPS = 600_000.0
_LARGE_PX = 1_280


async def start(stage: Stage) -> list[Figure]:
    """Before a subscriber has reported anything."""
    await stage.publisher(filmed=True, **_LAYERS)
    await asyncio.sleep(8.0)
    good = await stage.open(GOOD)
    first = await _first_image(stage, good)
    large_ms = await good.run(f"bench.untilWidth({_LARGE_PX}, 10000)")
    impaired = await stage.open(IMPAIRED)
    link = stage.link(IMPAIRED)
    link.set(_down(_NARROW_BPS))
    narrow = await _first_image(stage, impaired)
    begun = await stage.sample(impaired)
    await asyncio.sleep(2.0)
    down = link.figures()["down"]
    await asyncio.sleep(3.0)
    later = await stage.sample(impaired)
    return [
        at_most("first frame on a good link, from the join on", first / 1_000, "s", 1.5),
        at_most("large frame after it", large_ms / 1_000, "s", 1.5),
        told("first frame at 600 kbit/s", narrow / 1_000, "s"),
        at_most("queue at 600 kbit/s until 2 s after it", down["queued_ms"], "ms", 400.0),
        at_most("packets that it dropped", down["overflowed"], "", 0.0),
        told("video frozen in the 5 s after it", frozen_s(begun, later), "s"),
    ]


async def _first_image(stage: Stage, browser: Browser) -> float:
    """Milliseconds from the join on."""
    order = {**await stage.order(), "secret": SECRET}
    steps = await browser.run(f"bench.firstFrame({json.dumps(order)}, 10000)")
    return float(steps["frameMs"])


async def tcp(stage: Stage) -> list[Figure]:
    await stage.publisher(**_CAMERA)
    stage.link(IMPAIRED).both(blocks_udp=True, delay_ms=_WAY_MS)
    viewer = await stage.open(IMPAIRED)
    order = {**await stage.order(), "secret": SECRET}
    steps = await viewer.run(f"bench.firstFrame({json.dumps(order)}, 10000)")
    return [
        at_most("first frame, from the join on", steps["frameMs"] / 1_000, "s", 1.5),
        told("joined", steps["joinedMs"], "ms"),
        told("offer of media", steps["offeredMs"], "ms"),
        told("ICE connected", steps["iceMs"], "ms"),
        told("keys", steps["keysMs"], "ms"),
    ]


def _unaffected(usual: tuple[Sample, Sample], now: tuple[Sample, Sample]) -> Figure:
    share = frame_rate(*now) / frame_rate(*usual)
    return at_least("the other's frame rate, of before", share, "", 0.95)


async def key_frame_flood(stage: Stage) -> list[Figure]:
    publisher, stream = await stage.publisher(**_CAMERA)
    good = await stage.viewer(GOOD)
    (usual,) = await stage.over(5.0, good)
    flood = asyncio.create_task(
        stage.program(IMPAIRED, ("bench.network.flood", "pli"), streamId=stream, seconds=15.0)
    )
    await asyncio.sleep(8.0)
    ((before, after), fine) = await stage.over(10.0, publisher, good)
    answer = await flood
    asked = per_s(before, after, "video", "pliCount", "outbound-rtp") + per_s(
        before, after, "video", "firCount", "outbound-rtp"
    )
    return [
        at_least("requests sent", answer["sent"] / 15.0, "/s", 900.0),
        at_most("requests that the publisher sees", asked, "/s", 2.0),
        _unaffected(usual, fine),
        told("the other frozen", frozen_s(*fine), "s"),
    ]


_NACK_FLOOD_S = 60.0


async def nack_flood(stage: Stage) -> list[Figure]:
    _, stream = await stage.publisher(**_CAMERA)
    good = await stage.viewer(GOOD)
    cpu_before = stage.served.cpu_s()
    (usual,) = await stage.over(5.0, good)
    usual_cpu = (stage.served.cpu_s() - cpu_before) / 5.0
    flood = asyncio.create_task(
        stage.program(
            IMPAIRED, ("bench.network.flood", "nack"), streamId=stream, seconds=_NACK_FLOOD_S
        )
    )
    await asyncio.sleep(8.0)
    cpu_before = stage.served.cpu_s()
    (fine,) = await stage.over(8.0, good)
    flood_cpu = (stage.served.cpu_s() - cpu_before) / 8.0
    answer = await flood
    share = answer["again_bps"] / max(answer["media_bps"], 1.0)
    return [
        at_least("numbers asked for", answer["sent"] * 17 / _NACK_FLOOD_S, "/s", 10_000.0),
        at_least("sent again, of the media", share * 100, "%", 1.0),
        at_most("sent again at most, of the media", share * 100, "%", 20.0),
        told("CPU before", usual_cpu * 100, "% of a core"),
        told("CPU with the flood and its media", flood_cpu * 100, "% of a core"),
        _unaffected(usual, fine),
    ]


_CONSENT_S = 30.0
"""RFC 7675: consent lasts 30 s."""


async def killed(stage: Stage) -> list[Figure]:
    await stage.publisher(**_CAMERA)
    viewer = await stage.viewer(IMPAIRED)
    name = "sealroute_media_subscribers"
    before = (await stage.served.metrics())[name]
    stage.link(IMPAIRED).both(loss=1.0)
    viewer.kill()
    started = time.monotonic()
    while time.monotonic() - started < 2 * _CONSENT_S:
        if (await stage.served.metrics())[name] < before:
            break
        await asyncio.sleep(_LOOK_EVERY_S)
    return [
        at_most("its state is gone after", time.monotonic() - started, "s", _CONSENT_S + 5),
    ]


async def churn(stage: Stage) -> list[Figure]:
    _, stream = await stage.publisher(**_CAMERA)

    async def rounds(times: int) -> tuple[float, int, int, float]:
        await stage.program(IMPAIRED, ("bench.network.churn",), streamId=stream, times=times)
        await asyncio.sleep(3.0)
        served = stage.served
        return served.resident_mb(), *served.descriptors(), await served.tasks()

    await rounds(1_000)
    memory, descriptors, of_database, tasks = await rounds(500)
    later_memory, later_descriptors, later_of_database, later_tasks = await rounds(1_000)
    more, more_of_database = later_descriptors - descriptors, later_of_database - of_database
    return [
        at_most("memory after 1,000 more", later_memory / memory * 100, "%", 101.0),
        told("memory", later_memory, "MB"),
        at_most("descriptors more", more - more_of_database, "", 0.0),
        told("database connections more, of its pool", more_of_database / 2, ""),
        at_most("tasks more", later_tasks - tasks, "", 0.0),
    ]


SCENARIOS = (
    Scenario("loss-10", "10 % loss, 50 ms: frame rate ≥ 95 %, audio gaps < 1 %", loss_10),
    Scenario(
        "loss-10-both",
        "10 % loss of media and of requests, 50 ms: frame rate ≥ 95 %, audio gaps < 1 %",
        loss_10_both,
    ),
    Scenario("loss-30", "30 % loss for 10 s: recovered within 3 s", loss_30),
    Scenario(
        "step",
        "3 Mbit/s → 600 kbit/s → 3 Mbit/s, three sizes: queue < 300 ms after 3 s, back at 90 % "
        "within 15 s, the other subscriber does not notice",
        step_down,
        limit_s=180.0,
    ),
    Scenario(
        "start",
        "Three sizes, nothing known of a link: a large frame soon where it passes, and no queue "
        "above 400 ms at 600 kbit/s",
        start,
    ),
    Scenario("starve", "80 kbit/s: audio goes on, video pauses and says so", starve),
    Scenario(
        "switches", "100 live layer switches without a freeze above 1 s", switches, 240.0, repeats=1
    ),
    Scenario(
        "move",
        "One of two networks goes, seen or unseen: media gap p95 < 700 ms",
        move,
        limit_s=900.0,
        repeats=1,
    ),
    Scenario(
        "swap",
        "A client's only network goes, another one comes: media gap p95 < 2 s with ICE restart",
        swap,
        limit_s=300.0,
        repeats=1,
    ),
    Scenario(
        "rebind",
        "A NAT gives a client other ports: media gap p95 < 700 ms",
        rebind,
        limit_s=300.0,
        repeats=1,
    ),
    Scenario("tcp", "UDP blocked: connected over TCP in < 1.5 s", tcp),
    Scenario(
        "key-frame-flood",
        "1,000 key-frame requests a second: the publisher sees ≤ 2 a second, others unaffected",
        key_frame_flood,
    ),
    Scenario("nack-flood", "10,000 numbers a second asked for: sent again ≤ 20 %", nack_flood),
    Scenario(
        "killed",
        "A subscriber is killed: its state is gone within the consent timeout",
        killed,
        repeats=1,
    ),
    Scenario(
        "churn",
        "1,000 joins and leaves leave memory, descriptors and tasks where they were",
        churn,
        limit_s=300.0,
        repeats=1,
    ),
)
