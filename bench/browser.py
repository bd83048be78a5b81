"""`python -m bench.browser`: what encryption costs a browser. The same call of four streams, clear
and encrypted in turn: CPU of the Chromium that publishes and of the one that watches."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from opentok import Client, MediaModes  # type: ignore[import-untyped]

from bench import processes, report
from bench.adapters import UnavailableError
from bench.adapters.sealroute import SealrouteAdapter
from bench.ending import run_program
from bench.measure import machine
from bench.network import Json
from bench.network.browser import Browser, BrowserError
from bench.network.topology import Namespace

STREAMS = 4
SECRET = "correct horse battery"
MEDIA = {"resolution": "320x240", "frameRate": 15}
_SETTLE_S = 4.0
_PATIENCE_S = 30.0


class Here(Namespace):
    """No namespace: the browsers are on this machine."""

    def command(self, *words: str) -> list[str]:
        return list(words)


@dataclass(frozen=True, slots=True)
class Call:
    """One call: percent of a core of each side, and frames that the viewer decoded in a second."""

    encrypted: bool
    publisher: float
    viewer: float
    frames: float


def _decoded(sample: Json) -> list[int]:
    rows = [row for row in sample["rows"] if row["type"] == "inbound-rtp"]
    return [int(row.get("framesDecoded", 0)) for row in rows if row.get("kind") == "video"]


async def _until_all_play(viewer: Browser) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            frames = _decoded(await viewer.run("bench.sample()"))
            if len(frames) == STREAMS and all(frames):
                return
            await asyncio.sleep(0.3)


async def _spent(browsers: Sequence[Browser], seconds: float) -> list[float]:
    """Percent of a core of each."""
    before = [processes.cpu_s(processes.tree(one.pid)) for one in browsers]
    began_s = time.monotonic()
    await asyncio.sleep(seconds)
    took_s = time.monotonic() - began_s
    after = [processes.cpu_s(processes.tree(one.pid)) for one in browsers]
    return [(b - a) / took_s * 100 for a, b in zip(before, after, strict=True)]


def _orders(adapter: SealrouteAdapter, api: Client, *, encrypted: bool) -> list[str]:
    """What each of the two pages joins with."""
    session = api.create_session(media_mode=MediaModes.routed, e2ee=encrypted)
    common = {"apiKey": adapter.api_key, "sessionId": session.session_id}
    if encrypted:
        common["secret"] = SECRET
    return [
        json.dumps({**common, "token": api.generate_token(session.session_id)}) for _ in range(2)
    ]


async def call(adapter: SealrouteAdapter, seconds: float, *, encrypted: bool) -> Call:
    orders = await asyncio.to_thread(_orders, adapter, adapter.api(), encrypted=encrypted)
    async with AsyncExitStack() as stack:
        browsers = []
        for order in orders:
            browser = Browser(Here("here"), frame_rate=15)
            stack.push_async_callback(browser.close)
            await browser.open(f"{adapter.url}/")
            await browser.run(f"bench.join({order})")
            browsers.append(browser)
        publisher, viewer = browsers
        for _ in range(STREAMS):
            await publisher.run(f"bench.publish({json.dumps(MEDIA)})")
        await _until_all_play(viewer)
        await asyncio.sleep(_SETTLE_S)
        before = sum(_decoded(await viewer.run("bench.sample()")))
        sent, seen = await _spent(browsers, seconds)
        frames = sum(_decoded(await viewer.run("bench.sample()"))) - before
    return Call(encrypted, sent, seen, frames / seconds)


def table(calls: Sequence[Call]) -> str:
    """Ratios are taken round by round."""
    clear = [one for one in calls if not one.encrypted]
    encrypted = [one for one in calls if one.encrypted]
    rows = []
    for name in ("publisher", "viewer"):
        plain = [getattr(one, name) for one in clear]
        ciphered = [getattr(one, name) for one in encrypted]
        ratios = [b / a for a, b in zip(plain, ciphered, strict=True)]
        rows.append((name, report.cell(plain, 1), report.cell(ciphered, 1), report.cell(ratios)))
    frames = [report.cell([one.frames for one in side], 0) for side in (clear, encrypted)]
    rows.append(("frames decoded in a second", *frames, "-"))
    head = (f"{STREAMS} streams, % of a core", "clear", "encrypted", "x")
    return report.table(head, rows)


async def work(options: argparse.Namespace) -> int:
    adapter, calls = SealrouteAdapter(), []
    try:
        await adapter.start()
        for number in range(options.rounds):
            for encrypted in (False, True) if number % 2 == 0 else (True, False):
                word = "encrypted" if encrypted else "clear"
                print(f"round {number + 1} of {options.rounds}: {word}", file=sys.stderr)
                calls.append(await call(adapter, options.seconds, encrypted=encrypted))
    finally:
        await adapter.stop()
    found = [[one.encrypted, one.publisher, one.viewer, one.frames] for one in calls]
    report.write_raw("browser", {"unix_s": int(time.time()), "machine": machine(), "calls": found})
    print(table(calls))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.browser", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="measured window of each call")
    try:
        return asyncio.run(work(parser.parse_args()))
    except (UnavailableError, BrowserError, TimeoutError) as error:
        print(f"bench: {error or type(error).__name__}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    run_program(main)
