"""The peer connection that carries what this client subscribes to; the server offers."""

from collections.abc import Callable
from typing import Any

from aiortc import RTCSessionDescription

from sealroute_client.media.inbound import InboundTap
from sealroute_client.peers import PeerConnections

Bind = Callable[[dict[str, Any], InboundTap, Any], None]
"""(track of the offer, tap, decoded media)"""


class Downlink:
    """Every receiver has a tap from its first moment; unbound taps drop all."""

    def __init__(self, peers: PeerConnections) -> None:
        self._peer = peers.open()
        self._taps: dict[str, InboundTap] = {}

    async def answer(self, offer: str, tracks: list[dict[str, Any]], bind: Bind) -> str:
        await self._peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        wanted = {str(track["mid"]): track for track in tracks}
        for transceiver in self._peer.getTransceivers():
            mid = str(transceiver.mid)
            tap = self._taps.get(mid)
            if tap is None:
                tap = self._taps[mid] = InboundTap(transceiver.receiver)
            track = wanted.get(mid)
            if track is None:
                tap.take = None
            else:
                bind(track, tap, transceiver.receiver.track)
        await self._peer.setLocalDescription(await self._peer.createAnswer())
        return str(self._peer.localDescription.sdp)

    async def packets_lost(self) -> int:
        return sum([await tap.packets_lost() for tap in self._taps.values()])

    @property
    def state(self) -> str:
        return str(self._peer.connectionState)

    async def close(self) -> None:
        await self._peer.close()
