"""The peer connection that carries what this client subscribes to; the server offers."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiortc import RTCRtpReceiver, RTCSessionDescription
from aiortc.sdp import SessionDescription

from sealroute_client.descriptions import OfferRules
from sealroute_client.media.inbound import InboundTap
from sealroute_client.media.paths import MediaPath
from sealroute_client.media.receiving import with_layered_codecs
from sealroute_client.peers import PeerConnections

if TYPE_CHECKING:
    from sealroute_client.subscriber import Subscriber


@dataclass(slots=True)
class Line:
    """One m-line that receives, and whose it is."""

    kind: str
    tap: InboundTap
    receiver: RTCRtpReceiver
    codec: str = ""
    owner: "tuple[Subscriber, str] | None" = None

    @property
    def media(self) -> Any:
        """What is decoded. The first offer that sends over the m-line makes it, which need not be
        the first that has the m-line."""
        return self.receiver.track


class Downlink:
    """Every receiver has a tap of its own from its first moment; unbound taps drop all."""

    def __init__(self, peers: PeerConnections) -> None:
        self._peer = peers.open()
        self._lines: dict[RTCRtpReceiver, Line] = {}
        self._rules = OfferRules()

    def check(self, offer: str, carrying: Collection[str] = ()) -> None:
        """Before any of it is applied; `answer` relies on it.

        Errors: UnexpectedServerResponse, DecryptionUnsupportedCodec."""
        with with_layered_codecs():
            self._rules.check(offer, carrying)

    async def answer(self, offer: str) -> tuple[str, dict[str, Line]]:
        """The answer, and the m-lines by mid."""
        with with_layered_codecs():
            await self._peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        lines: dict[str, Line] = {}
        for transceiver in self._peer.getTransceivers():
            receiver = transceiver.receiver
            line = self._lines.get(receiver)
            if line is None:
                line = Line(transceiver.kind, InboundTap(receiver), receiver)
                self._lines[receiver] = line
            lines[str(transceiver.mid)] = line
        await self._peer.setLocalDescription(await self._peer.createAnswer())
        answer = str(self._peer.localDescription.sdp)
        for media in SessionDescription.parse(answer).media:
            if media.rtp.codecs and media.rtp.muxId in lines:
                mime = media.rtp.codecs[0].mimeType
                lines[media.rtp.muxId].codec = mime.lower().partition("/")[2]
        return answer, lines

    async def packets_lost(self) -> int:
        return sum([await line.tap.packets_lost() for line in self._lines.values()])

    @property
    def state(self) -> str:
        return str(self._peer.connectionState)

    async def path(self) -> MediaPath:
        return await self._peer.path()

    async def close(self) -> None:
        await self._peer.close()
