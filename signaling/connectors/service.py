"""The Audio Connectors of this node: who starts and stops them, and how many there may be."""

import uuid
from dataclasses import dataclass

from config.connector_settings import ConnectorSettings
from sfu.egress.connector_jobs import ConnectorEgress
from signaling.callbacks.names import asking
from signaling.connectors.connection import AudioConnection, WantedConnection
from signaling.domain.errors import ErrorCode, NotFound, error
from signaling.domain.features import Feature
from signaling.domain.projects import Project
from signaling.domain.tokens import Admission
from signaling.egress.dialing import Dialer, check_address
from signaling.egress.distant_stops import DistantStops, Stoppable
from signaling.egress.running_clients import Room, RunningClients, available
from signaling.metrics import Metrics
from signaling.sessions.directory import SessionDirectory

NO_ROOM = "This server has no room for another audio connection; try again later."


@dataclass(frozen=True, slots=True)
class ConnectorParts:
    """`egress` is None if this installation cannot decode audio."""

    directory: SessionDirectory
    egress: ConnectorEgress | None
    dialer: Dialer
    metrics: Metrics
    settings: ConnectorSettings
    stops: DistantStops


class AudioConnectors:
    """Used on the event loop only."""

    def __init__(self, parts: ConnectorParts) -> None:
        settings = parts.settings
        room = Room(settings.connections_max, settings.running_per_project, NO_ROOM)
        self._parts = parts
        self._running: RunningClients[AudioConnection] = RunningClients(
            Feature.AUDIO_CONNECTOR, room, parts.metrics
        )
        parts.stops.offer(Stoppable(self._running.projects, self._stop_here))

    def check_available(self) -> None:
        """Errors: `feature_unavailable` if this server does not connect audio."""
        self._egress()

    def _egress(self) -> ConnectorEgress:
        return available(self._parts.egress, enabled=self._parts.settings.enabled)

    async def start(self, admission: Admission, wanted: WantedConnection) -> AudioConnection:
        """The connection, whose WebSocket is open when this returns.

        Errors: `feature_unavailable`, `permission_denied`, `no_capacity`, `address_refused`,
        `connect_failed`; those of a join.
        """
        egress = self._egress()
        allowed = admission.capabilities
        if not allowed.subscribe or (wanted.audio.bidirectional and not allowed.publish):
            raise error(ErrorCode.PERMISSION_DENIED)
        connection = AudioConnection(str(uuid.uuid4()), admission, wanted, self._running.remove)
        with self._running.starting(connection):
            asking.set(admission.session.project_id)
            await self._check_address(wanted)
            actor = self._parts.directory.open(admission.session, admission.quotas)
            with self._running.refusals():
                await connection.open(actor, egress, self._parts.dialer)
        return connection

    async def _check_address(self, wanted: WantedConnection) -> None:
        """Before the join, so that nobody sees a client for it."""
        host, port = wanted.target.host, wanted.target.port
        await check_address(self._parts.dialer, host, port, self._parts.settings.open_s)

    async def stop(self, project: Project, name: str) -> None:
        """Errors: `call_not_found`."""
        connection = self._running.find(name)
        if connection is not None and connection.project == project.api_key:
            connection.leave()
        elif not await self._parts.stops.ask(project.api_key, name):
            raise NotFound(ErrorCode.CALL_NOT_FOUND)

    async def _stop_here(self, name: str) -> None:
        connection = self._running.find(name)
        if connection is not None:
            connection.leave()

    def running(self) -> list[AudioConnection]:
        return self._running.all()

    async def close(self) -> None:
        self._running.leave()
        if self._parts.egress is not None:
            await self._parts.egress.close()
