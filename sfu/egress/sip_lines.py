"""Control lines between the server and the process of a SIP call.

The first line holds the password of the call: it goes to the process that answers for it, and
nowhere else.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sfu.egress.control import Count, LineReader, Text
from sfu.egress.run_lines import LeaveLine, SpeakLine

Port = Annotated[int, Meta(ge=1, le=65_535)]
Digits = Annotated[str, Meta(max_length=1_024)]


class DialLine(Struct, tag_field="line", tag="dial", frozen=True):
    """`target`, `caller`: SIP URIs. `host`, `sip_port`, `rtp_port`: this end, as the other one
    reaches it. `peer`: where the first request goes. `secure`: SRTP or no call."""

    target: Text
    caller: Text
    transport: Literal["udp", "tcp", "tls"]
    host: Text
    sip_port: Port
    rtp_port: Port
    peer_host: Text
    peer_port: Port
    secure: bool
    hold_ms: Count
    no_media_s: Count
    max_s: Count
    headers: list[tuple[str, str]] = []
    username: Text | None = None
    password: Text = ""
    tls_roots: Text = ""

    def __repr__(self) -> str:
        return "DialLine(redacted)"


class PlaceLine(Struct, tag_field="line", tag="place", frozen=True):
    """The answer to `ask`. `address`: empty if it must not be reached."""

    host: Text
    port: Count
    address: Text = ""


class PressLine(Struct, tag_field="line", tag="press", frozen=True):
    """Digits for the other end."""

    digits: Digits


class MuteLine(Struct, tag_field="line", tag="mute", frozen=True):
    on: bool


class AskLine(Struct, tag_field="line", tag="ask", frozen=True):
    """Where is this, and may it be reached? Nothing is sent there before."""

    host: Text
    port: Port


class CallLine(Struct, tag_field="line", tag="call", frozen=True):
    """The call is something else now. `early`: it rings, and is heard already."""

    state: Literal["ringing", "early", "active", "held"]


class DigitLine(Struct, tag_field="line", tag="digit", frozen=True):
    """The other end has pressed a key."""

    digit: Annotated[str, Meta(min_length=1, max_length=1)]


class RedirectLine(Struct, tag_field="line", tag="redirect", frozen=True):
    """The other end says whom to call instead. It is the last line."""

    target: Text


SipCount = Literal[
    "messages_ignored",
    "messages_of_strangers",
    "packets_ignored",
    "packets_sent",
    "reports_received",
    "reports_sent",
    "undecodable_packets",
    "unsent",
]


class SipBeatLine(Struct, tag_field="line", tag="beat", frozen=True):
    """Every second: silence means that the process hangs."""

    counts: dict[SipCount, Count] = {}


class SipEndLine(Struct, tag_field="line", tag="end", frozen=True):
    """`refused` with the status of the answer; `closed` by either end; `lost`; `silent`: no media
    came for too long; `too_long`."""

    how: Literal["refused", "closed", "lost", "silent", "too_long"]
    status: Annotated[int, Meta(ge=0, le=999)] = 0
    reason: Annotated[str, Meta(max_length=200)] = ""


SipDown = DialLine | PlaceLine | PressLine | MuteLine | SpeakLine | LeaveLine
SipUp = AskLine | CallLine | DigitLine | RedirectLine | SipBeatLine | SipEndLine


class SipDownReader(LineReader[SipDown]):
    """The process's side."""

    def __init__(self) -> None:
        super().__init__(SipDown)


class SipUpReader(LineReader[SipUp]):
    """The server's side."""

    def __init__(self) -> None:
        super().__init__(SipUp)
