"""What a running server measures of itself, beside its work."""

import asyncio

from signaling.memory import MemoryReturn, system_trim
from signaling.metrics import Metrics
from signaling.rest.live_actors import LiveActors

LAG_SAMPLE_S = 0.5
COUNT_SAMPLE_S = 1.0


async def sample_lag(metrics: Metrics) -> None:
    """Measures how late the loop wakes up, which is how long a task blocked it."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + LAG_SAMPLE_S
        await asyncio.sleep(LAG_SAMPLE_S)
        metrics.event_loop_lag_seconds.observe(max(0.0, loop.time() - due_s))


async def sample_counts(metrics: Metrics, live: LiveActors) -> None:
    memory = MemoryReturn(system_trim())
    while True:
        counts = live.counts()
        metrics.sessions.set(counts.sessions)
        metrics.connections.set(counts.connections)
        metrics.streams.set(counts.streams)
        memory.sample(counts.connections)
        await asyncio.sleep(COUNT_SAMPLE_S)
