"""A client of the server's own: what it hears and says goes through a tap to a process.

It joins with a caller's token and is a Connection like any other: for its role, for limits,
callbacks and moderation. It has one end, whatever comes first: that of its Connection, its tap, its
process or its session.
"""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from sfu.core_api import MediaKind
from sfu.egress.jobs import PacketForm
from sfu.ids import ConnectionId, StreamId, short
from sfu.media_plane import TAP_UPLINK, MediaError, Tap
from signaling.domain import commands as c
from signaling.domain.audio_connecting import mixed_streams
from signaling.domain.errors import ErrorCode, error
from signaling.domain.tokens import Admission
from signaling.protocol import messages as m
from signaling.sessions.actor import SessionActor
from signaling.sessions.client_slot import JoiningClient
from signaling.sessions.http_client import HttpClient, hello_of, publish_of

_AUDIO = frozenset({MediaKind.AUDIO})
_FORM = PacketForm(TAP_UPLINK.ssrc, TAP_UPLINK.payload_type, TAP_UPLINK.audio_level_id)
_TRACKS = (m.TrackOffer(mid="0", kind="audio"),)


class TapRun(Protocol):
    """What a process does for one client."""

    def speak(self, form: PacketForm) -> None: ...
    def leave(self) -> None: ...


Run = TypeVar("Run", bound=TapRun)


class TappedClient(Generic[Run]):
    """Implements `TapListener` and `SessionWatcher`. `on_over` is called once, when all has ended.
    `selected`: the streams that it hears; None for all, newcomers too."""

    def __init__(
        self,
        admission: Admission,
        selected: frozenset[str] | None,
        on_over: Callable[[], None],
        *,
        log: Any,  # noqa: ANN401
        on_muted: Callable[[], None] | None = None,
    ) -> None:
        self.run: Run | None = None
        """Set by whoever starts it; it is left at the end."""
        self.is_over = False
        self.is_tap_lost = False
        self._admission = admission
        self._selected = selected
        self._on_over = on_over
        self._log = log
        self._http = HttpClient(self._ended, leaves_with_stream=False, on_muted=on_muted)
        self._actor: SessionActor | None = None
        self._tap: Tap | None = None
        self._mixed: tuple[StreamId, ...] = ()

    @property
    def connection_or_none(self) -> ConnectionId | None:
        return self._http.connection

    @property
    def connection(self) -> ConnectionId:
        """Errors: `not_connected`."""
        if self._http.connection is None:
            raise error(ErrorCode.NOT_CONNECTED)
        return self._http.connection

    @property
    def stream(self) -> StreamId:
        """Errors: `not_connected`."""
        if self._http.stream is None:
            raise error(ErrorCode.NOT_CONNECTED)
        return self._http.stream

    @property
    def has_stream(self) -> bool:
        return self._http.stream is not None

    def join(self, actor: SessionActor, sdk: str, *, quietly: bool = False) -> Tap:
        """The tap, whose child's end is for the process. `quietly`: see `publish_through`.

        Errors: those of a join; `MediaError`. The caller ends what fails by `leave`."""
        session = self._admission.session
        hello = hello_of(session.session_id, session.project_id, sdk, ())
        self._http.join(actor, hello, JoiningClient.of(self._admission))
        self._actor = actor
        self._tap = tap = actor.open_tap(self)
        actor.slots[self.connection].media.publish_through(tap, quietly=quietly)
        return tap

    def watch(self) -> None:
        """The tap follows the session's streams once something changes."""
        if self._actor is not None:
            self._actor.watch(self)

    async def publish(self, name: str) -> None:
        """Errors: those of `Publish`."""
        await self._http.publish(publish_of("", _TRACKS, name, None))

    def speak(self) -> None:
        """What the process says is the stream's from now on."""
        if self.run is not None:
            self.run.speak(_FORM)

    def check_present(self) -> None:
        """Errors: `not_connected` when the Connection has ended."""
        self._http.check_present()

    def announce(self) -> None:
        if self._actor is not None:
            self._actor.apply(c.Announce(self.connection))

    def speak_up(self) -> None:
        """What was published quietly is live from now on."""
        if self._actor is not None:
            self._actor.slots[self.connection].media.speak_up()

    def set_audio(self, *, on: bool) -> None:
        """Says whether the stream has audio."""
        self._http.set_audio(on=on)

    def leave(self) -> None:
        """Ends it. Idempotent."""
        self._http.leave()
        self._ended()

    def _ended(self) -> None:
        """The Connection is over."""
        if self.is_over:
            return
        self.is_over = True
        if self.run is not None:
            self.run.leave()
        if self._actor is not None:
            self._actor.unwatch(self)
        if self._tap is not None:
            self._tap.close()
        self._on_over()

    # --- what happens in the session --------------------------------------------------------

    def on_change(self) -> None:
        """A command was applied to the session."""
        if self.is_over or self._actor is None or self._tap is None:
            return
        wanted = mixed_streams(self._actor.state, self.connection, self._selected)
        before, self._mixed = self._mixed, wanted
        for stream in before:
            if stream not in wanted:
                self._tap.remove(stream, "unpublished")
        for stream in wanted:
            if stream not in before:
                self._add(self._tap, stream)

    def add_again(self, reason: str) -> None:
        """Another process learns of the streams as if they had just come."""
        if self._tap is None:
            return
        for stream in self._mixed:
            self._tap.remove(stream, reason)
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
        self.is_tap_lost = True
        self.leave()
