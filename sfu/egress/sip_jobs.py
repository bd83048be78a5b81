"""The seam between admission and SIP calls: what one is, and what it reports."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from sfu.egress.jobs import PacketForm
from sfu.egress.sip_uri import Uri

CallState = Literal["dialing", "ringing", "early", "active", "held"]


class Reach(Protocol):
    """The addresses that may be reached."""

    async def addresses(self, host: str, port: int) -> list[tuple[str, int]]:
        """Errors: `OSError`, also for one that must not be reached."""

    async def dial(self, host: str, port: int) -> socket.socket:
        """A connected TCP socket; the caller closes it. Errors: `OSError`."""


@dataclass(frozen=True, slots=True)
class SipJob:
    """`caller`: the URI of From. `headers`: of the first request. `secure`: SRTP or no call."""

    target: Uri
    caller: str
    reach: Reach
    secure: bool = False
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    username: str | None = None
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class CallEnd:
    """`refused` with the status of the answer; `closed` by either end; `lost`: the other end went
    away, or the process; `silent`: no media came; `too_long`."""

    how: Literal["refused", "closed", "lost", "silent", "too_long"]
    status: int = 0
    reason: str = ""


class SipListener(Protocol):
    """Called from the event loop. After `on_over` nothing follows."""

    def on_state(self, state: CallState) -> None: ...
    def on_digit(self, digit: str) -> None:
        """The other end has pressed a key."""

    def on_over(self, end: CallEnd) -> None: ...


class SipRun(Protocol):
    def speak(self, form: PacketForm) -> None:
        """The stream is published."""

    def press(self, digits: str) -> None:
        """Digits, and `p` for half a second of rest; sent once the call is answered."""

    def mute(self, *, on: bool) -> None:
        """Whether the telephone is heard in the session."""

    def leave(self) -> None:
        """Hangs up, without another call of the listener. Idempotent."""


class SipEgress(Protocol):
    def start(self, job: SipJob, media: socket.socket, listener: SipListener) -> SipRun:
        """`media`: the child's end of a tap, which stays the caller's. Errors: `EgressError`
        no_capacity."""

    def counters(self) -> Mapping[str, int]: ...
    async def close(self) -> None: ...
