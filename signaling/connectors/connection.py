"""One Audio Connector: a client of the session (`TappedClient`) with a WebSocket behind it.

It ends when the application stops it or ends its Connection, when the peer is done or gone for
good, or with the session.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from sfu.egress.connector_jobs import (
    AudioFormat,
    ConnectorEgress,
    ConnectorJob,
    ConnectorRun,
    HowOver,
)
from sfu.egress.jobs import EgressError
from sfu.ids import ConnectionId, short
from signaling.domain.audio_connecting import Target, upgrade_headers
from signaling.domain.errors import DomainError
from signaling.domain.tokens import Admission
from signaling.egress.dialing import Dialer
from signaling.egress.tapped_client import TappedClient
from signaling.sessions.actor import SessionActor

log = structlog.get_logger(__name__)

SDK = "audio-connector"
FAILURES = frozenset({"peer lost", "process lost"})
"""Ends that are counted as such."""


@dataclass(frozen=True, slots=True)
class WantedConnection:
    """What an application asks for. `streams`: None for all, newcomers too."""

    target: Target
    audio: AudioFormat
    headers: dict[str, str] = field(repr=False)
    streams: frozenset[str] | None = None


class AudioConnection:
    """Implements `ConnectorListener`. `on_end` is called once, with the reason if it is a
    failure."""

    def __init__(
        self,
        name: str,
        admission: Admission,
        wanted: WantedConnection,
        on_end: Callable[["AudioConnection", str | None], None],
    ) -> None:
        self.id = name
        self.project = admission.session.project_id
        self.session = admission.session.session_id
        self._wanted = wanted
        self._on_end = on_end
        self._log = log.bind(connector=short(name))
        self._client: TappedClient[ConnectorRun] = TappedClient(
            admission, wanted.streams, self._over, log=self._log
        )
        self._publishing: asyncio.Task[None] | None = None
        self._how: HowOver | None = None

    @property
    def connection(self) -> ConnectionId:
        """Errors: `not_connected`."""
        return self._client.connection

    async def open(self, actor: SessionActor, egress: ConnectorEgress, dialer: Dialer) -> None:
        """Joins, connects, and announces the connection once the WebSocket is open. The caller
        ends what fails.

        Errors: those of a join; `MediaError`, `EgressError`.
        """
        client = self._client
        tap = client.join(actor, SDK)
        client.run = run = egress.start(self._job(dialer), tap.child_end, self)
        client.watch()
        await run.opened()
        if self._how is not None:  # both in one turn of the loop
            code = "child_lost" if self._how == "process lost" else "connect_failed"
            raise EgressError(code, "The WebSocket was closed as soon as it was open.")
        client.check_present()
        client.announce()
        client.on_change()

    def _job(self, dialer: Dialer) -> ConnectorJob:
        target, headers = self._wanted.target, self._wanted.headers
        return ConnectorJob(
            dial=lambda: dialer.dial(target.host, target.port),
            host=target.host,
            port=target.port,
            resource=target.resource,
            secure=target.secure,
            upgrade_headers=upgrade_headers(headers, self.session, self.connection, self.id),
            headers=headers,
            audio=self._wanted.audio,
        )

    def leave(self) -> None:
        """Ends it. Idempotent."""
        self._client.leave()

    def _over(self) -> None:
        if self._publishing is not None:
            self._publishing.cancel()
        if self._client.is_tap_lost:
            self._how = "process lost"
        self._log.info("audio connection over", how=self._how or "asked for")
        self._on_end(self, self._how if self._how in FAILURES else None)

    # --- what the process says --------------------------------------------------------------

    def on_spoken(self) -> None:
        if self._client.run is None or self._client.is_over:
            return
        if self._client.has_stream:
            self._client.speak()
        elif self._publishing is None:
            self._publishing = asyncio.get_running_loop().create_task(self._publish())

    async def _publish(self) -> None:
        try:
            await self._client.publish("")
            self._client.speak()
        except DomainError as refused:
            self._log.warning("audio is not published", code=refused.code.value)
        finally:
            self._publishing = None

    def on_open_again(self) -> None:
        self._client.add_again("reconnected")

    def on_over(self, how: HowOver) -> None:
        self._how = how
        self.leave()
