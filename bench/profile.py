"""`python -m bench.profile`: where the forwarding thread's time goes, by `perf`, as Markdown."""

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench import loadgen, processes, report
from bench.adapters import UnavailableError
from bench.adapters.sealroute import SealrouteAdapter
from bench.ending import run_program
from bench.loadgen import LoadError, Timing
from bench.scenarios import SCENARIOS

_LINE = re.compile(r"^\s*([\d.]+)%\s+(\S+)\s+(\S+)\s+\[(.)\]\s+(.+?)(?:\s+-)*\s*$")
_THREAD = "media-worker"
_SHOWN = 25

KINDS = (
    ("crypto", re.compile(r"aes|gcm|ghash|sha1|hmac|evp_|aead|cipher|bssl|aws_lc", re.IGNORECASE)),
    ("memory", re.compile(r"^_*(memcpy|memmove|memset|memcmp|malloc|free|realloc)")),
)
"""By symbol, for code outside the kernel; the first that fits."""


@dataclass(frozen=True, slots=True)
class Line:
    share: float
    """Of the thread's samples, percent."""
    kind: str
    symbol: str


def kind_of(is_kernel: bool, symbol: str) -> str:
    if is_kernel:
        return "kernel"
    return next((name for name, pattern in KINDS if pattern.search(symbol)), "own")


def parse(text: str) -> list[Line]:
    """What `perf report` printed, without its comments."""
    lines = []
    for raw in text.splitlines():
        found = _LINE.match(raw)
        if found is not None and found.group(2) == _THREAD:
            share, _, _, space, symbol = found.groups()
            lines.append(Line(float(share), kind_of(space == "k", symbol), symbol))
    return lines


def table(lines: Iterable[Line]) -> str:
    ordered = sorted(lines, key=lambda line: -line.share)
    whole = sum(line.share for line in ordered) or 1.0
    kinds: dict[str, float] = {}
    for line in ordered:
        kinds[line.kind] = kinds.get(line.kind, 0.0) + line.share
    parts = sorted(kinds.items(), key=lambda part: -part[1])
    sums = report.table(
        ("part", "share"), [(kind, f"{share / whole:.0%}") for kind, share in parts]
    )
    rows = [
        (f"{line.share / whole:.1%}", line.kind, f"`{line.symbol}`") for line in ordered[:_SHOWN]
    ]
    return f"{sums}\n\n{report.table(('share', 'part', 'function'), rows)}"


def _record(pid: int, seconds: float, path: Path) -> None:
    command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "2000", "-o", str(path)]
    command += ["-p", str(pid), "--", "sleep", str(seconds)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        raise UnavailableError("perf cannot record here")


def _report(path: Path) -> str:
    command = ["perf", "report", "-i", str(path), "--stdio", "--sort", "comm,dso,symbol"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


async def profile(name: str, seconds: float) -> list[Line]:
    scenario, binary, adapter = SCENARIOS[name], await loadgen.build(), SealrouteAdapter()
    await adapter.start()
    try:
        joined = await adapter.join(scenario)
        timing = Timing(silent_s=0.5, warm_s=1.0, window_s=seconds + 1)
        job = loadgen.load_job(scenario, joined, timing)
        transports = [*(one.transport for one in joined.publishers), *joined.subscribers]
        pids = adapter.pids()
        running = asyncio.create_task(
            loadgen.run(binary, job, [t.fd for t in transports], lambda: processes.cpu_s(pids))
        )
        await asyncio.sleep(timing.silent_s + timing.warm_s)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "perf.data"
            await asyncio.to_thread(_record, pids[0], seconds, path)
            await running
            return parse(await asyncio.to_thread(_report, path))
    finally:
        await adapter.leave()
        await adapter.stop()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("--scenario", default="1-50", choices=sorted(SCENARIOS))
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    if shutil.which("perf") is None:
        print("bench: perf is missing: apt-get install linux-perf", file=sys.stderr)
        return 2
    try:
        print(table(asyncio.run(profile(options.scenario, options.seconds))))
    except (UnavailableError, LoadError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    run_program(main)
