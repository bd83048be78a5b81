"""One call with its audio: signalling and media agree here; pure.

It is told what came and what time it is. What the server is to know waits in `take_reports`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from sfu.egress.audio.resample import Samples
from sfu.egress.sip import call as sip
from sfu.egress.sip import sdp
from sfu.egress.sip.dialog import CallForm, Place
from sfu.egress.sip.phone import Phone
from sfu.egress.sip.sdp import Key, Local, Remote, SdpError
from sfu.egress.sip_lines import CallLine, DigitLine, RedirectLine, SipEndLine

_DIGIT_US = 100_000
"""Digits of the other end that come faster are no human's."""
_INFO_US = 250_000
_INFO_WAIT_US = 500_000
_RELAY = "application/dtmf-relay"
_SIGNAL = re.compile(rb"signal\s*=\s*([0-9*#A-D])", re.IGNORECASE)
_PLAIN = re.compile(rb"\s*([0-9*#A-D])\s*", re.IGNORECASE)
_NOT_ACCEPTABLE = sip.Ended("refused", 488, "Not Acceptable Here")
_PHRASE_CHARS = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """`no_media_us`: silence of the other end's packets, while it should send some."""

    no_media_us: int
    max_us: int


class Leg:
    def __init__(
        self,
        form: CallForm,
        local: Local,
        limits: Limits,
        phone: Phone,
        token: Callable[[], str],
        now_us: int,
    ) -> None:
        self.phone = phone
        self._local = local
        self._limits = limits
        self._is_secure = bool(local.keys)
        self._version = 1
        self._remote: Remote | None = None
        self._early = b""
        self._reports: list[Struct] = []
        self._now_us = now_us
        self._up_us: int | None = None
        self._state: Literal["calling", "ringing", "early", "active", "held"] = "calling"
        self._end: SipEndLine | None = None
        self._digit_us = self._info_us = 0
        self.call = sip.Call(form, local.offer(1), self._negotiate, token, now_us)

    @property
    def is_over(self) -> bool:
        return self.call.state == "over"

    @property
    def is_leaving(self) -> bool:
        return self.call.state == "leaving"

    @property
    def place(self) -> Place | None:
        """Where the description of the other end says that packets go."""
        return None if self._remote is None else (self._remote.host, self._remote.port)

    @property
    def report_port(self) -> int:
        """Of `place`, for RTCP; 0: it has none."""
        return 0 if self._remote is None else self._remote.rtcp_port

    @property
    def keys(self) -> tuple[Key, Key] | None:
        """Ours and theirs."""
        remote = self._remote
        if remote is None or remote.key is None:
            return None
        own = next(key for key in self._local.keys if key.suite == remote.key.suite)
        return own, remote.key

    def take_reports(self) -> list[Struct]:
        found, self._reports = self._reports, []
        return found

    # --- what happens -----------------------------------------------------------------------

    def handle_message(self, data: bytes, source: Place | None, now_us: int) -> None:
        self._now_us = now_us
        self.call.handle(data, source, now_us)
        self._note(now_us)

    def handle_packet(self, data: bytes, now_us: int) -> None:
        digit = self.phone.handle_packet(data, now_us)
        if digit is not None:
            self._note_digit(digit, now_us)

    def handle_time(self, now_us: int) -> None:
        self._now_us = now_us
        self.call.handle_time(now_us)
        self._note(now_us)
        if self.call.state != "up":
            return
        if self.phone.silent_us(now_us) > self._limits.no_media_us:
            self.hang_up(now_us, SipEndLine("silent"))
        elif self._up_us is not None and now_us - self._up_us > self._limits.max_us:
            self.hang_up(now_us, SipEndLine("too_long"))
        elif not self.phone.sends_events and now_us >= self._info_us:
            self._send_digit(now_us)

    def step(self, slot: int) -> tuple[bytes | None, Samples | None]:
        """Every 20 ms: a packet for the telephone, and what it says to the session."""
        return self.phone.step(slot)

    def hang_up(self, now_us: int, end: SipEndLine | None = None) -> None:
        self._end = self._end or end
        self.call.hang_up(now_us)
        self._note(now_us)

    def lose(self) -> None:
        """The connection of the signalling is gone."""
        self.call.lose()
        self._note(self._now_us)

    # --- media ------------------------------------------------------------------------------

    def _negotiate(self, offer: bytes) -> bytes | None:
        self._version += 1
        if not offer:
            return self._local.offer(self._version)
        try:
            wanted = None if self._remote is None else self._remote.codec
            remote = sdp.read(offer, secure=self._is_secure, wanted=wanted)
        except SdpError:
            return None
        self._apply(remote, self._now_us)
        return self._local.answer(self._version, remote, sdp.direction_to(remote))

    def _handle_early(self, body: bytes, now_us: int) -> None:
        """What is not understood is not heard: the answer alone decides about the call."""
        try:
            remote = sdp.read(body, secure=self._is_secure)
        except SdpError:
            return
        self._early, self._remote = body, remote
        self.phone.set_remote(remote, now_us)
        self.phone.is_early = True
        self._report("early")

    def _handle_answer(self, body: bytes, now_us: int) -> None:
        """One without a description has given it before (RFC 3261 section 13.2.1 wants it again,
        and some telephones leave it out)."""
        self.phone.is_early = False
        try:
            remote = sdp.read(body or self._early, secure=self._is_secure)
        except SdpError:
            self.call.hang_up(now_us, _NOT_ACCEPTABLE)
            return
        self._apply(remote, now_us)

    def _apply(self, remote: Remote, now_us: int) -> None:
        self._remote = remote
        self.phone.set_remote(remote, now_us)
        self._report("held" if remote.is_held else "active")

    # --- signalling -------------------------------------------------------------------------

    def _note(self, now_us: int) -> None:
        for event in self.call.take_events():
            match event:
                case sip.Ringing() if self._state == "calling":
                    self._report("ringing")
                case sip.Early(body):
                    self._handle_early(body, now_us)
                case sip.Answered(body, is_first):
                    self._up_us = now_us if is_first else self._up_us
                    self._handle_answer(body, now_us)
                case sip.Redirected(uri):
                    self._reports.append(RedirectLine(str(uri)))
                case sip.Info(content_type, body):
                    self._handle_info(content_type, body, now_us)
                case sip.Ended(how, status, reason):
                    end = SipEndLine(how, status, _phrase(reason))
                    self._reports.append(self._end or end)

    def _report(self, state: Literal["ringing", "early", "active", "held"]) -> None:
        if state != self._state:
            self._state = state
            self._reports.append(CallLine(state))

    def _handle_info(self, content_type: str, body: bytes, now_us: int) -> None:
        found = (_SIGNAL.search if content_type.startswith(_RELAY) else _PLAIN.fullmatch)(body)
        if found and content_type.startswith("application/dtmf"):
            self._note_digit(found[1].decode().upper(), now_us)

    def _note_digit(self, digit: str, now_us: int) -> None:
        if now_us >= self._digit_us:
            self._digit_us = now_us + _DIGIT_US
            self._reports.append(DigitLine(digit))

    def _send_digit(self, now_us: int) -> None:
        """For telephones without telephone events."""
        digit = self.phone.next_digit()
        if digit is None:
            return
        self._info_us = now_us + (_INFO_WAIT_US if digit == "p" else _INFO_US)
        if digit != "p":
            self.call.send_info(_RELAY, f"Signal={digit}\r\nDuration=100\r\n".encode(), now_us)


def _phrase(text: str) -> str:
    """A peer's words, as they can be passed on."""
    return "".join(letter for letter in text if letter.isprintable())[:_PHRASE_CHARS]
