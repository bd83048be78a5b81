"""A call of real clients on a server of its own, and what it notices while `act` goes on."""

import asyncio
import json
import os
import re
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench import loadgen, processes
from bench.adapters.sealroute import SealrouteAdapter
from bench.client import ClientError
from bench.loadgen import Joined, Timing
from bench.measure import quantile
from bench.peer import PeerError, TransportJob
from bench.scenarios import Scenario

VICTIMS = Scenario("victims", "video", 1, 10, 300)
WARM_S, QUIET_S = 1.0, 0.2
_DROPS = re.compile(r'^sealroute_packets_dropped_total\{reason="(\w+)"\} (\S+)$', re.MULTILINE)
_COUNTERS = re.compile(r"^sealroute_media_(\w+)_total (\S+)$", re.MULTILINE)
Act = Callable[["Scene"], Awaitable[Any]]


@dataclass(slots=True)
class Noticed:
    """What the call, the server and the act of one window gave. Rates are of the window."""

    result: dict[str, Any]
    server_cpu_share: float
    drops: dict[str, int]
    counters: dict[str, int]
    acted: Any = None

    @property
    def lost_share(self) -> float:
        expected = int(self.result["expected"])
        return (expected - int(self.result["arrived"])) / max(expected, 1)

    @property
    def p99_us(self) -> float:
        return float(self.result["delay"]["p99_us"])

    @property
    def p50_us(self) -> float:
        return float(self.result["delay"]["p50_us"])

    @property
    def key_frame_requests(self) -> int:
        return sum(int(one["key_frame_requests"]) for one in self.result["publishers"])


@dataclass(slots=True)
class Scene:
    """One server with one call. Owner: the run."""

    adapter: SealrouteAdapter
    binary: Path
    url: str
    media: tuple[str, int]
    seconds: float
    joined: Joined = field(default_factory=lambda: Joined((), ()))

    @property
    def transports(self) -> list[TransportJob]:
        return [*(one.transport for one in self.joined.publishers), *self.joined.subscribers]

    def counters(self) -> tuple[dict[str, int], dict[str, int]]:
        """Totals, and drops by reason."""
        with urlopen(self.adapter.metrics_url, timeout=10) as answer:
            text = answer.read().decode()
        totals = {name: int(float(value)) for name, value in _COUNTERS.findall(text)}
        return totals, {name: int(float(value)) for name, value in _DROPS.findall(text)}

    async def call(self, act: Act | None) -> Noticed:
        """The call for the scene's seconds, with `act` in its measured window."""
        self.joined = await self.adapter.join(VICTIMS)
        try:
            return await self._watched(act)
        finally:
            await self.adapter.leave()

    async def _watched(self, act: Act | None) -> Noticed:
        timing = Timing(silent_s=QUIET_S, warm_s=WARM_S, window_s=self.seconds)
        job = loadgen.load_job(VICTIMS, self.joined, timing)
        pids = self.adapter.pids()
        running = asyncio.create_task(
            loadgen.run(
                self.binary, job, [one.fd for one in self.transports], lambda: processes.cpu_s(pids)
            )
        )
        await asyncio.sleep(QUIET_S + WARM_S)
        totals, drops = await asyncio.to_thread(self.counters)
        acted = await act(self) if act is not None else None
        outcome = await running
        after, dropped = await asyncio.to_thread(self.counters)
        cpu_s = outcome.cpu_s["measured"] - outcome.cpu_s["measuring"]
        return Noticed(
            result=outcome.result,
            server_cpu_share=cpu_s / (outcome.at_s["measured"] - outcome.at_s["measuring"]),
            drops={name: count - drops.get(name, 0) for name, count in dropped.items()},
            counters={name: count - totals.get(name, 0) for name, count in after.items()},
            acted=acted,
        )

    async def attack(
        self, kind: str, rate_pps: float, *, seconds: float | None = None, **more: object
    ) -> dict[str, Any]:
        """Strangers of `native/loadgen`, from sockets of their own or (`fds`) of victims."""
        job: dict[str, object] = {
            "mode": "attack",
            "kind": kind,
            "target": f"{self.media[0]}:{self.media[1]}",
            "rate_pps": rate_pps,
            "seconds": self.seconds - 0.8 if seconds is None else seconds,
            "seed": 11,
            **more,
        }
        fds = more.get("fds", [])
        numbers = [fd for fd in fds if isinstance(fd, int)] if isinstance(fds, list) else []
        outcome = await loadgen.run(self.binary, job, numbers, lambda: 0.0)
        return outcome.result

    async def joins(self, count: int, over_s: float) -> dict[str, float]:
        """Honest clients that join the call, spread over some time."""
        took_s: list[float] = []
        failed = 0

        async def one(delay_s: float) -> None:
            nonlocal failed
            await asyncio.sleep(delay_s)
            began_s = time.monotonic()
            try:
                await self.adapter.join_late()
            except (ClientError, PeerError, TimeoutError, OSError):
                failed += 1
            else:
                took_s.append(time.monotonic() - began_s)

        await asyncio.gather(*(one(number * over_s / count) for number in range(count)))
        return {
            "joined": len(took_s),
            "failed": failed,
            "p50_s": quantile(took_s, 0.5),
            "p99_s": quantile(took_s, 0.99),
        }

    async def helper(self, module: str, *words: str) -> dict[str, Any]:
        """Another process of attackers; what it prints."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *words,
            cwd=loadgen.ROOT, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        found: dict[str, Any] = json.loads(out or b"{}")
        return found


def media_address(transport: TransportJob) -> tuple[str, int]:
    """Where a connected transport sends to."""
    with socket.socket(fileno=os.dup(transport.fd)) as copy:
        host, port = copy.getpeername()[:2]
    return str(host), int(port)
