"""Audio Connectors as part of a server."""

import contextlib
from collections.abc import AsyncIterator, Callable

from config.settings import Settings
from sfu.egress.connector_jobs import ConnectorEgress
from sfu.egress.connectors import ZYGOTE_MODULE, Connectors
from sfu.egress.forks import program_of
from signaling.connectors.service import AudioConnectors, ConnectorParts
from signaling.egress.dialing import Dialer
from signaling.egress.distant_stops import DistantStops
from signaling.egress.packages import are_installed
from signaling.egress.policy import egress_policy
from signaling.metrics import Metrics
from signaling.sessions.directory import SessionDirectory

NEEDED = ("av", "numpy", "websockets")
"""What the processes import, and nothing else of the server does."""
ConnectorOpener = Callable[[Settings], ConnectorEgress | None]


def open_connectors(settings: Settings) -> ConnectorEgress | None:
    """What connects audio on this node, if anything may and can."""
    if not settings.connector.enabled or not are_installed(NEEDED, "no audio connections"):
        return None
    return Connectors(settings.connector, program=program_of(ZYGOTE_MODULE))


@contextlib.asynccontextmanager
async def running_connectors(
    settings: Settings,
    directory: SessionDirectory,
    metrics: Metrics,
    stops: DistantStops,
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
        stops=stops,
    )
    connectors = AudioConnectors(parts)
    try:
        yield connectors
    finally:
        await connectors.close()
