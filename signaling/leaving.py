"""How a server goes: what ends in which order."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from aiohttp import web

from signaling.metrics import Metrics
from signaling.rest.call import Services
from signaling.sessions.directory import SessionDirectory
from signaling.web_app import Readiness

log = structlog.get_logger(__name__)

_FOR_ARCHIVES = 0.6
"""The part of the time for a shutdown in which files of archives are finished; clients still have
to be notified within the rest."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """What ends in order at a shutdown."""

    runner: web.AppRunner
    directory: SessionDirectory
    services: Services
    refuse_joins: Callable[[], None]


def refuse_joins(
    readiness: Readiness,
    directory: SessionDirectory,
    metrics: Metrics,
    drain: Callable[[], None],
) -> None:
    """`drain` tells other nodes, where there are some."""
    readiness.accepting = False
    drain()
    directory.refuse_joins()
    metrics.draining.set(1)


async def leave(parts: Leaving, within_s: float) -> None:
    """Refuses new clients, stops listening, finishes archives and broadcasts and ends
    captions while media lasts, disconnects every client, then closes the sockets."""
    parts.refuse_joins()
    for site in list(parts.runner.sites):
        await site.stop()
    services = parts.services
    services.renders.leave()
    in_time_s = within_s * _FOR_ARCHIVES
    await asyncio.gather(
        services.archives.close(in_time_s),
        services.broadcasts.close(in_time_s),
        services.captions.close(),
    )
    try:
        async with asyncio.timeout(within_s):
            await parts.directory.close()
    except TimeoutError:
        log.warning("not every client was notified of the shutdown")
    await parts.runner.cleanup()
