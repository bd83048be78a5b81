"""What a server may change: one step of the protocol, SDP or media at a time."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tests.hostile import sdp
from tests.hostile.media import Rtp

if TYPE_CHECKING:
    from tests.hostile.member import Member
    from tests.hostile.tracks import DownLine

Message = dict[str, Any]


class Lie:
    """What a server may change. This one changes nothing: the honest server."""

    path = ""
    """In front of the WebSocket's: what the server agrees to before it knows the client."""

    session: Message = {"e2ee": True, "mediaMode": "routed"}  # noqa: RUF012 - nobody changes it
    """What this session is, in truth. Who joins a clear one has no secret."""

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        """Each message of the server on its way out."""
        return (message,)

    def reply(self, member: Member, message: Message) -> Iterable[Message] | None:
        """In place of what the server would do with a request; None: it does that."""
        return None

    def answer(self, member: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
        return lines

    def offer(self, member: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
        return lines

    def prints(self, member: Member) -> tuple[str, ...]:
        return sdp.HONEST_PRINTS

    def setup(self, member: Member) -> str:
        """The role in the DTLS handshake that an offer names."""
        return "actpass"

    def shakes_hands(self, member: Member) -> bool:
        """Whether the server takes part in the DTLS handshake."""
        return True

    def answers_checks(self, member: Member, direction: str) -> bool:
        """Whether the server answers the connectivity checks of a transport."""
        return True

    def connection_id(self, member: Member) -> str:
        return f"c-{secrets.token_hex(8)}"

    def stream_id(self, member: Member) -> str:
        return f"s-{secrets.token_hex(8)}"

    def down(self, line: DownLine, packet: Rtp) -> Iterable[Rtp]:
        """Each packet to a subscriber, already under the m-line's SSRC and payload type."""
        return (packet,)


def error(message: Message, code: str = "internal") -> Message:
    return {
        "t": "error",
        "re": message["id"],
        "code": code,
        "name": "OT_UNEXPECTED_SERVER_RESPONSE",
        "number": 2000,
        "message": "The server failed.",
    }
