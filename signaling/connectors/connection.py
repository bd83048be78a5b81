"""One Audio Connector: a client of the session, whose uplink and ears are a tap.

It joins with the caller's token and is a Connection like any other: for its role, for limits,
callbacks and moderation. It ends when the application stops it or ends its Connection, when the
peer is done or gone for good, or with the session.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from sfu.core_api import MediaKind
from sfu.egress.connector_jobs import (
    AudioFormat,
    ConnectorEgress,
    ConnectorJob,
    ConnectorRun,
    HowOver,
    PacketForm,
)
from sfu.ids import ConnectionId, StreamId, short
from sfu.media_plane import TAP_UPLINK, MediaError, Tap
from signaling.connectors.dialing import Dialer
from signaling.domain import commands as c
from signaling.domain.audio_connecting import Target, mixed_streams, upgrade_headers
from signaling.domain.errors import DomainError, ErrorCode, error
from signaling.domain.tokens import Admission
from signaling.protocol import messages as m
from signaling.sessions.actor import SessionActor
from signaling.sessions.client_slot import JoiningClient
from signaling.sessions.http_client import HttpClient, hello_of, publish_of

log = structlog.get_logger(__name__)

SDK = "audio-connector"
_AUDIO = frozenset({MediaKind.AUDIO})
_FORM = PacketForm(TAP_UPLINK.ssrc, TAP_UPLINK.payload_type, TAP_UPLINK.audio_level_id)
_TRACKS = (m.TrackOffer(mid="0", kind="audio"),)


@dataclass(frozen=True, slots=True)
class WantedConnection:
    """What an application asks for. `streams`: None for all, newcomers too."""

    target: Target
    audio: AudioFormat
    headers: dict[str, str] = field(repr=False)
    streams: frozenset[str] | None = None


class AudioConnection:
    """Implements `TapListener`, `SessionWatcher` and `ConnectorListener`. `on_end` is called once,
    with the reason if it ended by itself."""

    def __init__(
        self,
        name: str,
        admission: Admission,
        wanted: WantedConnection,
        on_end: Callable[["AudioConnection", HowOver | None], None],
    ) -> None:
        self.id = name
        self.project = admission.session.project_id
        self.session = admission.session.session_id
        self._admission = admission
        self._wanted = wanted
        self._on_end = on_end
        self._client = HttpClient(self._ended, leaves_with_stream=False)
        self._actor: SessionActor | None = None
        self._tap: Tap | None = None
        self._run: ConnectorRun | None = None
        self._mixed: tuple[StreamId, ...] = ()
        self._publishing: asyncio.Task[None] | None = None
        self._how: HowOver | None = None
        self._is_over = False
        self._log = log.bind(connector=short(name))

    @property
    def connection(self) -> ConnectionId:
        """Errors: `not_connected`."""
        if self._client.connection is None:
            raise error(ErrorCode.NOT_CONNECTED)
        return self._client.connection

    async def open(self, actor: SessionActor, egress: ConnectorEgress, dialer: Dialer) -> None:
        """Joins, connects, and announces the connection once the WebSocket is open.

        Errors: those of a join; `MediaError`, `EgressError`. Then nothing is left behind.
        """
        admission = self._admission
        hello = hello_of(self.session, admission.session.project_id, SDK, ())
        self._client.join(actor, hello, JoiningClient.of(admission))
        self._actor = actor
        try:
            self._tap = tap = actor.open_tap(self)
            actor.slots[self.connection].media.publish_through(tap)
            self._run = egress.start(self._job(dialer), tap.child_end, self)
            actor.watch(self)
            await self._run.opened()
            self._client.check_present()
        except BaseException:
            self.leave()
            raise
        actor.apply(c.Announce(self.connection))
        self.on_change()

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
        self._ended()

    def _ended(self) -> None:
        """The Connection is over."""
        if self._is_over:
            return
        self._is_over = True
        if self._publishing is not None:
            self._publishing.cancel()
        if self._run is not None:
            self._run.leave()
        if self._actor is not None:
            self._actor.unwatch(self)
        if self._tap is not None:
            self._tap.close()
        self._log.info("audio connection over", how=self._how or "asked for")
        self._on_end(self, self._how)

    # --- what happens in the session --------------------------------------------------------

    def on_change(self) -> None:
        """A command was applied to the session."""
        if self._is_over or self._actor is None or self._tap is None:
            return
        wanted = mixed_streams(self._actor.state, self.connection, self._wanted.streams)
        before, self._mixed = self._mixed, wanted
        for stream in before:
            if stream not in wanted:
                self._tap.remove(stream, "unpublished")
        for stream in wanted:
            if stream not in before:
                self._add(self._tap, stream)

    def _add(self, tap: Tap, stream: StreamId) -> None:
        try:
            tap.add(stream, _AUDIO, {})
        except MediaError as refused:
            # About a stream that is just ending.
            self._log.info("tap refused", code=refused.code)

    def on_end(self) -> None:
        """The session's media ends."""
        self.leave()

    def on_stream_gone(self, stream: StreamId) -> None:
        """The tap has told the process; the session ends the stream in a moment."""
        self._log.debug("stream gone", stream=short(stream))

    def on_tap_closed(self, reason: str) -> None:
        self._log.info("tap closed", reason=reason)
        self._how = "process lost"
        self.leave()

    # --- what the process says --------------------------------------------------------------

    def on_spoken(self) -> None:
        if self._run is None or self._is_over:
            return
        if self._client.stream is not None:
            self._run.speak(_FORM)
        elif self._publishing is None:
            self._publishing = asyncio.get_running_loop().create_task(self._publish(self._run))

    async def _publish(self, run: ConnectorRun) -> None:
        try:
            await self._client.publish(publish_of("", _TRACKS, "", None))
            run.speak(_FORM)
        except DomainError as refused:
            self._log.warning("audio is not published", code=refused.code.value)
        finally:
            self._publishing = None

    def on_open_again(self) -> None:
        """The next process learns of the streams as if they had just come."""
        if self._tap is None:
            return
        for stream in self._mixed:
            self._tap.remove(stream, "reconnected")
            self._add(self._tap, stream)

    def on_over(self, how: HowOver) -> None:
        self._how = how
        self.leave()
