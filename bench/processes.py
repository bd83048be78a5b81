"""What processes cost: the kernel's CPU clocks and resident memory."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

STOP_S = 10.0

_CPUCLOCK_SCHED = 2
"""Of linux/posix-timers.h: the process clock that counts scheduled time in nanoseconds."""


def cpu_s(pids: Iterable[int]) -> float:
    """User and system time of all threads, also of those that ended. Processes that are gone
    count nothing, so measure while they live."""
    total = 0.0
    for pid in pids:
        try:
            total += time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
        except OSError:
            continue
    return total


def tree(root: int) -> list[int]:
    """`root` and all its descendants."""
    found = [root]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").glob("*"):
            try:
                found.extend(int(child) for child in (task / "children").read_text().split())
            except OSError:
                continue
    return found


def resident_bytes(pids: Iterable[int]) -> int:
    total = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1_024
    return total


async def stop(process: asyncio.subprocess.Process | None) -> None:
    """Asks it to end, and ends it when it does not."""
    if process is None or process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
