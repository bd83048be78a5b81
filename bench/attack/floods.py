"""`python -m bench.attack.floods KIND SECONDS JOB`: one client, with or without a token, that
sends without end, as much as 8 Mbit/s carry; or `probe`, which requests /healthz
meanwhile. Prints figures as JSON.

JOB is JSON: `url`, and what the kind needs: `apiKey`, `session`, `tokens`.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgpack  # type: ignore[import-untyped]

from bench.measure import quantile
from signaling.protocol.parts import E2EE_FORMAT

Job = dict[str, Any]
BYTES_PER_S = 1_000_000
"""8 Mbit/s: what a line at home sends."""
_PROBE_EVERY_S = 0.02
_PROTOCOL = "sealroute.v2.msgpack"
_SDP_LINES, _SDP_FORMATS = 5_000, 128
_MEMBERS_START_S = 3.0


class Pace:
    """So many bytes a second, and what was sent."""

    def __init__(self, seconds: float) -> None:
        self._begin_s = time.monotonic()
        self._end_s = self._begin_s + seconds
        self.sent_bytes = 0
        self.sent = 0
        self.refused = 0

    async def next(self, size: int) -> bool:
        """Waits for the turn of so many bytes. False: the time is over."""
        self.sent += 1
        self.sent_bytes += size
        due_s = self._begin_s + self.sent_bytes / BYTES_PER_S
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        return time.monotonic() < self._end_s

    def figures(self) -> dict[str, float]:
        seconds = time.monotonic() - self._begin_s
        return {"sent": self.sent, "seconds": seconds, "refused": self.refused}


def hello(job: Job, token: str) -> bytes:
    packed: bytes = msgpack.packb(
        {
            "t": "hello",
            "id": 1,
            "apiKey": job["apiKey"],
            "sessionId": job["session"],
            "token": token,
            "sdk": {"name": "flood", "version": "1"},
            "e2ee": {"formats": [E2EE_FORMAT]},
        }
    )
    return packed


def masked(payload: bytes) -> bytes:
    """A client's binary frame under the mask zero (RFC 6455 section 5.2)."""
    if len(payload) < 126:
        head = bytes((0x82, 0x80 | len(payload)))
    else:
        head = b"\x82\xfe" + len(payload).to_bytes(2)
    return head + bytes(4) + payload


def costly_description() -> str:
    """The attribute that cost most: feedback for all payload types, a thousand times."""
    formats = " ".join(str(number) for number in range(_SDP_FORMATS))
    lines = [f"a=rtcp-fb:* {number:x}{'y' * 10}" for number in range(_SDP_LINES)]
    heads = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF " + formats + "\r\na=mid:0\r\n"
    return (heads + "\r\n".join(lines))[:125_000]


async def flood_descriptions(http: aiohttp.ClientSession, job: Job, seconds: float) -> Pace:
    """WHIP offers."""
    pace = Pace(seconds)
    body = costly_description()
    headers = {"Authorization": f"Bearer {job['tokens'][0]}", "Content-Type": "application/sdp"}
    while await pace.next(len(body)):
        url = f"{job['url']}/whip/{job['session']}"
        async with http.post(url, data=body, headers=headers) as answer:
            await answer.read()
            pace.refused += answer.status >= 400
    return pace


async def flood_hellos(http: aiohttp.ClientSession, job: Job, seconds: float) -> Pace:
    """First messages of strangers, as long as they may be and full of values."""
    pace = Pace(seconds)
    costly = b"\xdc\x0f\xff" + b"\xa3abc" * 4_000
    waiting: set[asyncio.Task[None]] = set()

    async def one() -> None:
        with contextlib.suppress(aiohttp.ClientError):
            async with http.ws_connect(f"{job['url']}/v1/signal", protocols=[_PROTOCOL]) as ws:
                await ws.send_bytes(costly)
                while (await ws.receive()).type is aiohttp.WSMsgType.BINARY:
                    pace.refused += 1

    while await pace.next(len(costly)):
        task = asyncio.create_task(one())
        waiting.add(task)
        task.add_done_callback(waiting.discard)
    await asyncio.gather(*waiting)
    return pace


async def _member(
    http: aiohttp.ClientSession, job: Job, token: str
) -> aiohttp.ClientWebSocketResponse:
    ws = await http.ws_connect(f"{job['url']}/v1/signal", protocols=[_PROTOCOL])
    await ws.send_bytes(hello(job, token))
    return ws


async def _write_forever(
    http: aiohttp.ClientSession, job: Job, seconds: float, frames: bytes
) -> Pace:
    """Comes back whenever it is closed."""
    pace = Pace(seconds)
    ws = await _member(http, job, job["tokens"][0])
    await ws.receive()
    while await pace.next(len(frames)):
        connection = ws._response.connection  # noqa: SLF001 - frames made in advance
        transport = None if connection is None else connection.transport
        if ws.closed or transport is None or transport.is_closing():
            pace.refused += 1
            ws = await _member(http, job, job["tokens"][0])
            with contextlib.suppress(aiohttp.ClientError):
                await ws.receive()
            continue
        transport.write(frames)
        while True:
            # Errors and pongs are read, and thrown away.
            try:
                async with asyncio.timeout(0.001):
                    frame = await ws.receive()
            except TimeoutError:
                break
            if frame.type is not aiohttp.WSMsgType.BINARY:
                await ws.close()
                break
    await ws.close()
    return pace


async def flood_pings(http: aiohttp.ClientSession, job: Job, seconds: float) -> Pace:
    ping = masked(msgpack.packb({"t": "ping", "id": 1}))
    return await _write_forever(http, job, seconds, ping * 1_000)


async def flood_signals(http: aiohttp.ClientSession, job: Job, seconds: float) -> Pace:
    """To members that never read."""
    members = [await _member(http, job, token) for token in job["tokens"][1:]]
    await asyncio.sleep(_MEMBERS_START_S)
    signal = masked(msgpack.packb({"t": "signal", "id": 1, "encrypted": b"x" * 8_000}))
    pace = await _write_forever(http, job, seconds - _MEMBERS_START_S, signal)
    for member in members:
        member._response.close()  # noqa: SLF001 - without a word
    return pace


async def flood_rooms(http: aiohttp.ClientSession, job: Job, seconds: float) -> Pace:
    """Joins of rooms that are not there, with names as long as bodies may be."""
    pace = Pace(seconds)
    body = json.dumps({"name": "x" * 4_000}).encode()
    while await pace.next(len(body)):
        async with http.post(f"{job['url']}/v1/rooms/2_{pace.sent}", data=body) as answer:
            await answer.read()
            pace.refused += answer.status >= 400
    return pace


async def probe(url: str, seconds: float) -> dict[str, float]:
    took_s: list[float] = []
    end_s = time.monotonic() + seconds
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < end_s:
            begin_s = time.monotonic()
            async with http.get(f"{url}/healthz", raise_for_status=True) as answer:
                await answer.read()
            took_s.append(time.monotonic() - begin_s)
            await asyncio.sleep(_PROBE_EVERY_S)
    return {"p50_ms": quantile(took_s, 0.5) * 1e3, "p99_ms": quantile(took_s, 0.99) * 1e3}


Flood = Callable[[aiohttp.ClientSession, Job, float], Awaitable[Pace]]
FLOODS: dict[str, Flood] = {
    "descriptions": flood_descriptions,
    "first-messages": flood_hellos,
    "pings": flood_pings,
    "signals": flood_signals,
    "rooms": flood_rooms,
}


async def work(kind: str, seconds: float, job: Job) -> dict[str, float]:
    if kind == "probe":
        return await probe(job["url"], seconds)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        pace = await FLOODS[kind](http, job, seconds)
    return pace.figures()


def main() -> None:
    kind, seconds, job = sys.argv[1:]
    if kind != "probe":
        # Attackers have machines of their own.
        os.nice(5)
    print(json.dumps(asyncio.run(work(kind, float(seconds), json.loads(job)))), flush=True)


if __name__ == "__main__":
    main()
