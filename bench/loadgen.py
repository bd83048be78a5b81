"""Runs the load generator and reads the server's CPU clock at the bounds of its phases."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench.peer import TransportJob
from bench.scenarios import Scenario

ROOT = Path(__file__).resolve().parent.parent
_LONGEST_LINE_BYTES = 1 << 22


class LoadError(Exception):
    """The load generator could not be built or did not finish."""


@dataclass(frozen=True, slots=True)
class Timing:
    silent_s: float = 2.0
    warm_s: float = 1.0
    window_s: float = 10.0


@dataclass(frozen=True, slots=True)
class PublisherJob:
    transport: TransportJob
    ssrc: int
    payload_type: int
    kid: bytes | None
    extensions: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Joined:
    """Clients that are in, with their media transports connected."""

    publishers: tuple[PublisherJob, ...]
    subscribers: tuple[TransportJob, ...]
    connect_s: tuple[float, ...] = ()
    """How long each subscriber took from asking for the streams to keys on its downlink."""


@dataclass(slots=True)
class Outcome:
    """What one run gave. `cpu_s` and `at_s` are read at the begin of each phase."""

    result: dict[str, Any] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    at_s: dict[str, float] = field(default_factory=dict)


_Connected = TypeVar("_Connected")


class Connecting:
    """Lets a few clients in at a time, and takes down how long each took once it was let in."""

    def __init__(self, at_once: int = 8) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._took_s: list[float] = []

    async def one(self, connect: Callable[[], Awaitable[_Connected]]) -> _Connected:
        async with self._turns:
            began_s = time.monotonic()
            connected = await connect()
            self._took_s.append(time.monotonic() - began_s)
            return connected

    @property
    def took_s(self) -> tuple[float, ...]:
        return tuple(self._took_s)


async def build() -> Path:
    """Builds the release binary when needed; its path. `BENCH_LOADGEN` names another."""
    given = os.environ.get("BENCH_LOADGEN")
    if given:
        return Path(given)
    process = await asyncio.create_subprocess_exec(
        "cargo", "build", "--release", "--quiet", "--package", "sealroute-loadgen", "--jobs", "2",
        cwd=ROOT / "native",
    )  # fmt: skip
    if await process.wait() != 0:
        raise LoadError("the load generator could not be built; is cargo installed?")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "native" / "target"))
    return target / "release" / "sealroute-loadgen"


def _media(scenario: Scenario, publisher: PublisherJob) -> dict[str, object]:
    return {
        "codec": "vp8" if scenario.kind == "video" else "opus",
        "ssrc": publisher.ssrc,
        "payload_type": publisher.payload_type,
        "rate_pps": scenario.rate_pps,
        "payload_bytes": scenario.payload_bytes,
        "packets_per_frame": scenario.packets_per_frame,
        "burst": scenario.burst,
        "kid": publisher.kid.hex() if publisher.kid else None,
        "extensions": publisher.extensions,
    }


def load_job(scenario: Scenario, joined: Joined, timing: Timing) -> dict[str, object]:
    return {
        "mode": "load",
        "silent_s": timing.silent_s,
        "warm_s": timing.warm_s,
        "seconds": timing.window_s,
        "publishers": [
            {"transport": one.transport.as_json(), "media": _media(scenario, one)}
            for one in joined.publishers
        ],
        "subscribers": [one.as_json() for one in joined.subscribers],
    }


async def run(
    binary: Path, job: dict[str, object], fds: Sequence[int], server_cpu_s: Callable[[], float]
) -> Outcome:
    """Hands the job over and follows the phases. Raises `LoadError`."""
    process = await asyncio.create_subprocess_exec(
        str(binary),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        pass_fds=list(fds),
        limit=_LONGEST_LINE_BYTES,
    )
    if process.stdin is None or process.stdout is None:
        raise LoadError("the load generator has no pipes")
    process.stdin.write(json.dumps(job).encode())
    process.stdin.close()
    try:
        outcome = await _follow(process.stdout, server_cpu_s)
    finally:
        if process.returncode is None and not process.stdout.at_eof():
            process.kill()
        code = await process.wait()
    if code != 0 or not outcome.result:
        raise LoadError("the load generator ended without a result")
    return outcome


async def _follow(lines: asyncio.StreamReader, server_cpu_s: Callable[[], float]) -> Outcome:
    outcome, error = Outcome(), None
    async for line in lines:
        cpu_s, at_s = server_cpu_s(), time.monotonic()
        said = json.loads(line)
        if said["event"] == "error":
            error = said["error"]
        elif said["event"] == "result":
            outcome.result = said["result"]
        else:
            outcome.cpu_s[said["event"]] = cpu_s
            outcome.at_s[said["event"]] = at_s
    if error is not None:
        raise LoadError(error)
    return outcome


async def floor(
    binary: Path, scenario: Scenario, seconds: float, *, segmented: bool
) -> dict[str, Any]:
    """The same sends without a server and without crypto: one publisher's fan-out."""
    protected_bytes = 12 + 16 + scenario.payload_bytes
    flows = max(1, scenario.flows // scenario.publishers)
    job: dict[str, object] = {
        "mode": "floor",
        "sinks": flows,
        "datagram_bytes": protected_bytes,
        "rate_pps": scenario.rate_pps * scenario.publishers,
        "burst": scenario.burst,
        "segmented": segmented and scenario.burst > 1,
        "seconds": seconds,
    }
    return (await run(binary, job, (), lambda: 0.0)).result
