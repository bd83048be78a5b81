"""Audio Connectors as part of a server."""

import contextlib
import importlib.util
import sys
from collections.abc import AsyncIterator, Callable

import structlog

from config.settings import Settings
from sfu.egress.connector_jobs import ConnectorEgress
from sfu.egress.connectors import ZYGOTE_MODULE, Connectors
from signaling.connectors.dialing import Dialer
from signaling.connectors.service import AudioConnectors, ConnectorParts
from signaling.egress.policy import egress_policy
from signaling.metrics import Metrics
from signaling.sessions.directory import SessionDirectory

log = structlog.get_logger(__name__)

NEEDED = ("av", "numpy", "websockets")
"""What the processes import, and nothing else of the server does."""
ConnectorOpener = Callable[[Settings], ConnectorEgress | None]


def missing_packages() -> list[str]:
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def open_connectors(settings: Settings) -> ConnectorEgress | None:
    """What connects audio on this node, if anything may and can."""
    if not settings.connector.enabled:
        return None
    absent = missing_packages()
    if absent:
        log.info("no audio connections", reason="packages are not installed", packages=absent)
        return None
    program = (sys.executable, "-P", "-m", ZYGOTE_MODULE)
    return Connectors(settings.connector, program=program)


@contextlib.asynccontextmanager
async def running_connectors(
    settings: Settings,
    directory: SessionDirectory,
    metrics: Metrics,
    make_egress: ConnectorOpener = open_connectors,
) -> AsyncIterator[AudioConnectors]:
    """Errors: `ConfigurationError`."""
    egress = make_egress(settings)
    if egress is not None:
        metrics.watch_connectors(egress.counters)
    parts = ConnectorParts(
        directory=directory,
        dialer=Dialer(egress_policy(settings)),
        egress=egress,
        metrics=metrics,
        settings=settings.connector,
    )
    connectors = AudioConnectors(parts)
    try:
        yield connectors
    finally:
        await connectors.close()
