"""One SIP call: a client of the session (`TappedClient`) with a telephone behind it.

Its Stream has an id from the start and is seen once the telephone is answered. The call ends when
either end hangs up, when its Connection ends, or with the session.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from sfu.egress.sip_jobs import CallEnd, CallState, Reach, SipEgress, SipJob, SipRun
from sfu.egress.sip_uri import Uri
from sfu.ids import ConnectionId, StreamId, short
from signaling.calls.marks import MarkedCall
from signaling.domain.effects import EventName
from signaling.domain.sip_calling import MUTE_KEYS, WORDS, CallInfo, call_details, end_details
from signaling.domain.tokens import Admission
from signaling.egress.tapped_client import TappedClient
from signaling.sessions.actor import SessionActor

log = structlog.get_logger(__name__)

SDK = "sip"
_MAX_NAME_CHARS = 128

FAILURES = frozenset({"lost", "silent", "refused"})
"""Ends that are counted as such."""
Report = Callable[[EventName, dict[str, object]], None]
Mark = Callable[[MarkedCall], Awaitable[None]]


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
    """Implements `SipListener`. `on_end` is called once, with the reason if it is a failure."""

    def __init__(
        self,
        name: str,
        admission: Admission,
        wanted: WantedCall,
        now_ms: int,
        report: Report,
        on_end: Callable[["SipCall", str | None], None],
    ) -> None:
        self.id = name
        self.project = admission.session.project_id
        self.session = admission.session.session_id
        self.state: CallState = "dialing"
        self._wanted = wanted
        self._now_ms = now_ms
        self._report = report
        self._on_end = on_end
        self._log = log.bind(call=short(name))
        self._client: TappedClient[SipRun] = TappedClient(
            admission, wanted.streams, self._over, log=self._log, on_muted=self._on_force_muted
        )
        self._keys = ""
        self._is_muted = False
        self._stream: StreamId | None = None
        self._is_told = False
        self._early: list[CallState] = []
        self._early_end: CallEnd | None = None
        self._end = CallEnd("closed")

    @property
    def connection(self) -> ConnectionId:
        """Errors: `not_connected`."""
        return self._client.connection

    @property
    def connection_or_none(self) -> ConnectionId | None:
        return self._client.connection_or_none

    @property
    def stream(self) -> StreamId:
        """It keeps its id after the end. Errors: `not_connected`."""
        return self._client.stream if self._stream is None else self._stream

    # --- what the application asks ----------------------------------------------------------

    async def open(self, actor: SessionActor, egress: SipEgress, reach: Reach, mark: Mark) -> None:
        """Joins, and calls. `mark` is called before anybody hears of the call. A telephone that
        has refused it by then is told like one that refuses later: by callbacks. The caller ends
        what fails.

        Errors: those of a join and of `Publish`; `MediaError`, `EgressError`; those of `mark`.
        """
        client = self._client
        tap = client.join(actor, SDK, quietly=True)
        # Before the stream, whose announcement is that of its connection.
        client.run = egress.start(self._job(reach), tap.child_end, self)
        await client.publish(self._stream_name())
        self._stream = client.stream
        await mark(MarkedCall(self.session, self._info()))
        client.check_present()
        client.watch()
        client.speak()
        client.announce()
        self._is_told = True
        self._report("callCreated", call_details(self._info()))
        for state in self._early:
            self.on_state(state)
        if self._early_end is None:
            client.on_change()
        else:
            self.on_over(self._early_end)

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

    def _stream_name(self) -> str:
        target = self._wanted.target
        return (target.user or target.host)[:_MAX_NAME_CHARS]

    def _info(self) -> CallInfo:
        return CallInfo(self.id, self.connection, self._now_ms)

    def press(self, digits: str) -> None:
        """Plays tones to the telephone."""
        if self._client.run is not None:
            self._client.run.press(digits)

    def leave(self) -> None:
        """Hangs up. Idempotent."""
        self._client.leave()

    def _over(self) -> None:
        if self._client.is_tap_lost:
            self._end = CallEnd("lost")
        self._log.info("call over", how=self._end.how, status=self._end.status)
        if self._is_told:
            self._report("callUpdated", call_details(self._info(), state="HANGUP"))
            self._report("callDestroyed", end_details(self._info(), self._end))
        self._on_end(self, self._end.how if self._end.how in FAILURES else None)

    # --- what happens in the session --------------------------------------------------------

    def _on_force_muted(self) -> None:
        """The session hears nothing of it already. A telephone that observes this may press *6
        to be heard again; for others a moderator's word holds for the whole call."""
        self._report("muteForced", call_details(self._info()))
        if self._wanted.observes_mute:
            self._mute(on=True)

    def _mute(self, *, on: bool) -> None:
        if self._client.run is not None and not self._client.is_over:
            self._is_muted = on
            self._client.run.mute(on=on)
            self._client.set_audio(on=not on)

    # --- what the process says --------------------------------------------------------------

    def on_state(self, state: CallState) -> None:
        if not self._is_told:
            self._early.append(state)
        elif not self._client.is_over:
            if state in ("early", "active"):
                self._client.speak_up()
            before, self.state = self.state, state
            if state == "dialing" or WORDS[state] != WORDS[before]:
                self._report("callUpdated", call_details(self._info(), state=WORDS[state]))

    def on_digit(self, digit: str) -> None:
        if self._client.is_over:
            return
        self._report("callDigit", call_details(self._info(), digit=digit))
        self._keys = (self._keys + digit)[-len(MUTE_KEYS) :]
        if self._keys == MUTE_KEYS and self._wanted.observes_mute:
            self._mute(on=not self._is_muted)

    def on_over(self, end: CallEnd) -> None:
        if not self._is_told:
            self._early_end = end
            return
        self._end = end
        self.leave()
