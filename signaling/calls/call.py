"""One SIP call: a client of the session, whose uplink and ears are a tap.

It joins with the caller's token and is a Connection like any other: for its role, for limits,
callbacks and moderation. Its Stream has an id from the start and is seen once the telephone
is answered. The call ends when either end hangs up, when its Connection ends, or with the session.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from sfu.core_api import MediaKind
from sfu.egress.connector_jobs import PacketForm
from sfu.egress.sip_jobs import CallEnd, CallState, Reach, SipEgress, SipJob, SipRun
from sfu.egress.sip_uri import Uri
from sfu.ids import ConnectionId, StreamId, short
from sfu.media_plane import TAP_UPLINK, MediaError, Tap
from signaling.domain import commands as c
from signaling.domain.audio_connecting import mixed_streams
from signaling.domain.effects import EventName
from signaling.domain.errors import ErrorCode, error
from signaling.domain.sip_calling import MUTE_KEYS, WORDS, CallInfo, call_details, end_details
from signaling.domain.tokens import Admission
from signaling.protocol import messages as m
from signaling.sessions.actor import SessionActor
from signaling.sessions.client_slot import JoiningClient
from signaling.sessions.http_client import HttpClient, hello_of, publish_of

log = structlog.get_logger(__name__)

SDK = "sip"
_AUDIO = frozenset({MediaKind.AUDIO})
_FORM = PacketForm(TAP_UPLINK.ssrc, TAP_UPLINK.payload_type, TAP_UPLINK.audio_level_id)
_TRACKS = (m.TrackOffer(mid="0", kind="audio"),)
_MAX_NAME_CHARS = 128

FAILURES = frozenset({"lost", "silent", "refused"})
"""Ends that are counted as such."""
Report = Callable[[EventName, dict[str, object]], None]


@dataclass(frozen=True, slots=True)
class WantedCall:
    """What an application asks for. `streams`: None for all, newcomers too."""

    target: Uri
    caller: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    username: str | None = None
    password: str = field(default="", repr=False)
    secure: bool = False
    observes_mute: bool = False
    streams: frozenset[str] | None = None


class SipCall:
    """Implements `TapListener`, `SessionWatcher` and `SipListener`. `on_end` is called once."""

    def __init__(
        self,
        name: str,
        admission: Admission,
        wanted: WantedCall,
        now_ms: int,
        report: Report,
        on_end: Callable[["SipCall", CallEnd], None],
    ) -> None:
        self.id = name
        self.project = admission.session.project_id
        self.session = admission.session.session_id
        self.state: CallState = "dialing"
        self._admission = admission
        self._wanted = wanted
        self._now_ms = now_ms
        self._report = report
        self._on_end = on_end
        self._client = HttpClient(
            self._ended, leaves_with_stream=False, on_muted=self._on_force_muted
        )
        self._actor: SessionActor | None = None
        self._tap: Tap | None = None
        self._run: SipRun | None = None
        self._mixed: tuple[StreamId, ...] = ()
        self._keys = ""
        self._is_muted = False
        self._is_told = False
        self._early: list[CallState] = []
        self._end = CallEnd("closed")
        self._is_over = False
        self._log = log.bind(call=short(name))

    @property
    def connection(self) -> ConnectionId:
        """Errors: `not_connected`."""
        if self._client.connection is None:
            raise error(ErrorCode.NOT_CONNECTED)
        return self._client.connection

    @property
    def connection_or_none(self) -> ConnectionId | None:
        return self._client.connection

    @property
    def stream(self) -> StreamId:
        """Errors: `not_connected`."""
        if self._client.stream is None:
            raise error(ErrorCode.NOT_CONNECTED)
        return self._client.stream

    # --- what the application asks ----------------------------------------------------------

    async def open(self, actor: SessionActor, egress: SipEgress, reach: Reach) -> None:
        """Joins, and calls. Nobody has answered when it returns.

        Errors: those of a join and of `Publish`; `MediaError`, `EgressError`. Then nothing is left
        behind.
        """
        admission = self._admission
        hello = hello_of(self.session, admission.session.project_id, SDK, ())
        self._client.join(actor, hello, JoiningClient.of(admission))
        self._actor = actor
        try:
            self._tap = tap = actor.open_tap(self)
            actor.slots[self.connection].media.publish_through(tap, quietly=True)
            # Before the stream, whose announcement is that of its connection.
            self._run = egress.start(self._job(reach), tap.child_end, self)
            name = (self._wanted.target.user or self._wanted.target.host)[:_MAX_NAME_CHARS]
            await self._client.publish(publish_of("", _TRACKS, name, None))
            self._client.check_present()
            actor.watch(self)
            self._run.speak(_FORM)
        except BaseException:
            self.leave()
            raise
        actor.apply(c.Announce(self.connection))
        self._is_told = True
        self._report("callCreated", call_details(self._info()))
        for state in self._early:
            self.on_state(state)
        self.on_change()

    def _job(self, reach: Reach) -> SipJob:
        wanted = self._wanted
        return SipJob(
            target=wanted.target,
            caller=wanted.caller,
            reach=reach,
            secure=wanted.secure,
            headers=tuple(wanted.headers.items()),
            username=wanted.username,
            password=wanted.password,
        )

    def _info(self) -> CallInfo:
        return CallInfo(self.id, self.connection, self._now_ms)

    def press(self, digits: str) -> None:
        """Plays tones to the telephone."""
        if self._run is not None:
            self._run.press(digits)

    def leave(self) -> None:
        """Hangs up. Idempotent."""
        self._client.leave()
        self._ended()

    def _ended(self) -> None:
        """The Connection is over."""
        if self._is_over:
            return
        self._is_over = True
        if self._run is not None:
            self._run.leave()
        if self._actor is not None:
            self._actor.unwatch(self)
        if self._tap is not None:
            self._tap.close()
        self._log.info("call over", how=self._end.how, status=self._end.status)
        if self._is_told:
            self._report("callUpdated", call_details(self._info(), state="HANGUP"))
            self._report("callDestroyed", end_details(self._info(), self._end))
        self._on_end(self, self._end)

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
        self._end = CallEnd("lost")
        self.leave()

    def _on_force_muted(self) -> None:
        """The session hears nothing of it already. A telephone that observes this may press *6
        to be heard again; for others a moderator's word holds for the whole call."""
        self._report("muteForced", call_details(self._info()))
        if self._wanted.observes_mute:
            self._mute(on=True)

    def _mute(self, *, on: bool) -> None:
        if self._run is not None and not self._is_over:
            self._is_muted = on
            self._run.mute(on=on)
            self._client.set_audio(on=not on)

    # --- what the process says --------------------------------------------------------------

    def on_state(self, state: CallState) -> None:
        if not self._is_told:
            self._early.append(state)
        elif not self._is_over:
            if state == "active" and self._actor is not None:
                self._actor.slots[self.connection].media.speak_up()
            self.state = state
            self._report("callUpdated", call_details(self._info(), state=WORDS[state]))

    def on_digit(self, digit: str) -> None:
        if self._is_over:
            return
        self._report("callDigit", call_details(self._info(), digit=digit))
        self._keys = (self._keys + digit)[-len(MUTE_KEYS) :]
        if self._keys == MUTE_KEYS and self._wanted.observes_mute:
            self._mute(on=not self._is_muted)

    def on_over(self, end: CallEnd) -> None:
        self._end = end
        self.leave()
