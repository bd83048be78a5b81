"""What a run measures of Sealroute besides rounds: many sessions, a storm, joins, memory, the
profile, the count of instructions. Each part that fails is said and left out."""

import contextlib
import os
import shutil
import sys
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench import guard, joins, memory, profile, report, scale
from bench.adapters import UnavailableError
from bench.adapters.sealroute import SealrouteAdapter
from bench.client import ClientError
from bench.loadgen import ROOT, LoadError
from bench.peer import PeerError

SESSIONS, SILENT_S = 1_000, 8.0
JOINS, OVER_S = 500, 5.0
ROOMS, VIEWERS = 4, 200
PROFILED, PROFILED_S = "1-50", 6.0
_GUARD = "BENCH_GUARD"
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Extras:
    """None and empty: not measured."""

    idle: scale.Idle | None = None
    storm: scale.Storm | None = None
    lines: tuple[profile.Line, ...] = ()
    instructions: dict[str, float] | None = None
    joins_ms: dict[str, list[float]] = field(default_factory=dict)
    """CPU of a join, by what the project has of callbacks."""
    memory: dict[str, list[float]] = field(default_factory=dict)
    """By the columns of `bench.memory`."""

    def sections(self) -> list[str]:
        parts = []
        if self.idle is not None or self.storm is not None:
            parts += ["## Many sessions, many joins", scale.document(self.idle, self.storm)]
        if self.joins_ms:
            rows = [(name, report.cell(values)) for name, values in self.joins_ms.items()]
            parts += [
                f"## A join in rooms of {joins.ROOM.clients}",
                report.table(("project", "CPU ms for a join"), rows),
            ]
        if self.memory:
            rows = [(name, report.cell(values, 1)) for name, values in self.memory.items()]
            parts += ["## Memory", report.table(("what", "resident"), rows)]
        if self.lines:
            title = f"## Where the forwarding thread's time goes ({PROFILED})"
            parts += [title, profile.table(self.lines)]
        if self.instructions is not None:
            rows = [(name, f"{value:.0f}") for name, value in self.instructions.items()]
            parts += [
                "## Instructions per forwarded packet, the core in memory",
                report.table(("load", "instructions"), rows),
            ]
        return parts


def build() -> None:
    """What needs cargo; `measure` finds it by the environment."""
    with contextlib.suppress(guard.GuardError):
        os.environ[_GUARD] = str(guard.build())


async def _or_none(what: str, work: Awaitable[_Found]) -> _Found | None:
    print(what, file=sys.stderr)
    try:
        return await work
    except (UnavailableError, LoadError, ClientError, PeerError, TimeoutError) as error:
        print(f"FAILED {what}: {error}", file=sys.stderr)
        return None


async def _with_server(measured: Any) -> Any:  # noqa: ANN401
    adapter = SealrouteAdapter()
    try:
        await adapter.start()
        return await measured(adapter)
    finally:
        await adapter.stop()


def _instructions() -> dict[str, float] | None:
    try:
        return guard.figures(Path(os.environ[_GUARD]))
    except (KeyError, guard.GuardError) as error:
        print(f"SKIPPED instructions: {error}", file=sys.stderr)
        return None


async def _joins() -> dict[str, list[float]]:
    return {kind.name: kind.cost_ms for kind in await joins.measure([ROOT], 1, ROOMS)}


async def _memory() -> dict[str, list[float]]:
    (found,) = await memory.measure([ROOT], 1, VIEWERS, late=True)
    return {
        memory.FIRST_START: found.first_mb,
        memory.LATER_STARTS: found.later_mb,
        memory.VIEWER: found.viewer_kib,
    }


async def measure(binary: Path) -> Extras:
    idle = await _or_none(
        f"{SESSIONS} idle sessions",
        _with_server(lambda adapter: scale.idle(adapter, binary, SESSIONS, SILENT_S)),
    )
    storm = await _or_none(
        f"{JOINS} joins in {OVER_S:.0f} s",
        _with_server(lambda adapter: scale.storm(adapter, binary, JOINS, OVER_S)),
    )
    joined = await _or_none("joins without and with callbacks", _joins()) or {}
    remembered = await _or_none("memory of starts and of viewers", _memory()) or {}
    lines: list[profile.Line] | None = None
    if shutil.which("perf") is None:
        print("SKIPPED profile: perf is missing: apt-get install linux-perf", file=sys.stderr)
    else:
        lines = await _or_none("profile", profile.profile(PROFILED, PROFILED_S))
    return Extras(idle, storm, tuple(lines or ()), _instructions(), joined, remembered)
