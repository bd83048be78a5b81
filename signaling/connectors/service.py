"""The Audio Connectors of this node: who starts and stops them, and how many there may be."""

import asyncio
import uuid
from dataclasses import dataclass

import structlog

from config.settings import ConnectorSettings
from sfu.egress.connector_jobs import ConnectorEgress, HowOver
from sfu.egress.jobs import EgressError
from sfu.media_plane import MediaError
from sfu.target_policy import TargetRefused
from signaling.callbacks.names import asking
from signaling.connectors.connection import AudioConnection, WantedConnection
from signaling.connectors.dialing import Dialer
from signaling.domain.errors import (
    DomainError,
    ErrorCode,
    NotFound,
    Unavailable,
    error,
)
from signaling.domain.features import Feature
from signaling.domain.projects import Project
from signaling.domain.tokens import Admission
from signaling.metrics import Metrics
from signaling.sessions.directory import SessionDirectory

log = structlog.get_logger(__name__)

FEATURE = Feature.AUDIO_CONNECTOR.value
NO_ROOM = "This server has no room for another audio connection; try again later."


@dataclass(frozen=True, slots=True)
class ConnectorParts:
    """`egress` is None if this installation cannot decode audio."""

    directory: SessionDirectory
    egress: ConnectorEgress | None
    dialer: Dialer
    metrics: Metrics
    settings: ConnectorSettings


class AudioConnectors:
    """Used on the event loop only."""

    def __init__(self, parts: ConnectorParts) -> None:
        self._parts = parts
        self._running: dict[str, AudioConnection] = {}

    def check_available(self) -> None:
        """Errors: `feature_unavailable` if this server does not connect audio."""
        if self._parts.egress is None or not self._parts.settings.enabled:
            raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE)

    async def start(self, admission: Admission, wanted: WantedConnection) -> AudioConnection:
        """The connection, whose WebSocket is open when this returns.

        Errors: `feature_unavailable`, `permission_denied`, `no_capacity`, `address_refused`,
        `connect_failed`; those of a join.
        """
        self.check_available()
        allowed = admission.capabilities
        if not allowed.subscribe or (wanted.audio.bidirectional and not allowed.publish):
            raise error(ErrorCode.PERMISSION_DENIED)
        self._check_room(admission.session.project_id)
        asking.set(admission.session.project_id)
        name = str(uuid.uuid4())
        connection = AudioConnection(name, admission, wanted, self._ended)
        self._running[name] = connection
        self._parts.metrics.egress_running.labels(FEATURE).inc()
        try:
            await self._open(connection, admission, wanted)
        except BaseException as cause:
            connection.leave()
            self._parts.metrics.egress_failures.labels(FEATURE, _reason(cause)).inc()
            raise
        self._parts.metrics.egress_starts.labels(FEATURE).inc()
        return connection

    async def _open(
        self, connection: AudioConnection, admission: Admission, wanted: WantedConnection
    ) -> None:
        egress = self._parts.egress
        if egress is None:
            raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE)
        await self._check_address(wanted)
        actor = self._parts.directory.open(admission.session, admission.quotas)
        try:
            await connection.open(actor, egress, self._parts.dialer)
        except (MediaError, EgressError) as refused:
            raise _refusal(refused) from refused

    async def _check_address(self, wanted: WantedConnection) -> None:
        """Before the join, so that nobody sees a client for it."""
        target = wanted.target
        try:
            async with asyncio.timeout(self._parts.settings.open_s):
                await self._parts.dialer.addresses(target.host, target.port)
        except TargetRefused:
            raise error(ErrorCode.ADDRESS_REFUSED) from None
        except OSError:  # also an unknown name, and a time-out
            raise error(ErrorCode.CONNECT_FAILED) from None

    def stop(self, project: Project, name: str) -> None:
        """Errors: `call_not_found`."""
        connection = self._running.get(name)
        if connection is None or connection.project != project.api_key:
            raise NotFound(ErrorCode.CALL_NOT_FOUND)
        connection.leave()

    def running(self) -> list[AudioConnection]:
        return list(self._running.values())

    async def close(self) -> None:
        for connection in self.running():
            connection.leave()
        if self._parts.egress is not None:
            await self._parts.egress.close()

    def _check_room(self, project: str) -> None:
        settings = self._parts.settings
        of_project = sum(one.project == project for one in self._running.values())
        if of_project >= settings.running_per_project or len(self._running) >= (
            settings.connections_max
        ):
            raise Unavailable(ErrorCode.NO_CAPACITY, NO_ROOM)

    def _ended(self, connection: AudioConnection, how: HowOver | None) -> None:
        if self._running.pop(connection.id, None) is None:
            return
        self._parts.metrics.egress_running.labels(FEATURE).dec()
        if how in ("peer lost", "process lost"):
            self._parts.metrics.egress_failures.labels(FEATURE, how).inc()


def _refusal(refused: MediaError | EgressError) -> DomainError:
    if isinstance(refused, EgressError):
        if refused.code == "connect_failed":
            return error(ErrorCode.CONNECT_FAILED)
        if refused.code == "child_lost":
            return error(ErrorCode.OVERLOADED)
        return Unavailable(ErrorCode.NO_CAPACITY, NO_ROOM)
    if refused.code == "clear_media_required":
        return error(ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA)
    return error(ErrorCode.OVERLOADED)


def _reason(cause: BaseException) -> str:
    return cause.code.value if isinstance(cause, DomainError) else "cancelled"
