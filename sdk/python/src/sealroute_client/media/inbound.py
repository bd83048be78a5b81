"""Opening what aiortc receives, between its jitter buffer and its decoder.

As in `outbound`, the private names are checked when a receiver is attached.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiortc import RTCRtpReceiver
from aiortc.rtp import RtcpSrPacket

from sealroute_client.errors import DecryptionInternalError

DECODER_QUEUE: Final = "_RTCRtpReceiver__decoder_queue"
TIMESTAMPS: Final = "_RTCRtpReceiver__timestamp_mapper"
RTX_SOURCES: Final = "_RTCRtpReceiver__rtx_ssrc"
GENERATION_SHIFT: Final = 40
"""Above every timestamp that a call can reach (141 days of the video clock)."""


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """`timestamp` counts in the codec's clock from the receiver's first frame, without wraps."""

    codec: str
    data: bytes
    timestamp: int


@dataclass(frozen=True, slots=True)
class SenderReport:
    """The same instant on two clocks (RFC 3550 section 6.4.1)."""

    ntp_s: float
    timestamp: int


TakeFrame = Callable[[EncodedFrame], bytes | None]
"""Gives what the decoder may have, or None: nothing."""


class InboundTap:
    """Stands between jitter buffer and decoder of one receiver; drops while nobody takes."""

    def __init__(self, receiver: RTCRtpReceiver) -> None:
        """Errors: DecryptionInternalError when this aiortc can not be hooked."""
        names = (DECODER_QUEUE, TIMESTAMPS, RTX_SOURCES, "_handle_rtcp_packet", "_send_rtcp_pli")
        if any(not hasattr(receiver, name) for name in names):
            raise DecryptionInternalError("This version of aiortc can not be used")
        self._receiver = receiver
        self._queue: Any = getattr(receiver, DECODER_QUEUE)
        self._put = self._queue.put
        self._handle_rtcp = receiver._handle_rtcp_packet  # noqa: SLF001
        self._pli: set[asyncio.Future[None]] = set()
        self.take: TakeFrame | None = None
        self.generation = 0
        self.report: SenderReport | None = None
        self._queue.put = self._on_item
        receiver._handle_rtcp_packet = self._on_rtcp  # type: ignore[method-assign]  # noqa: SLF001

    def give_to(self, take: TakeFrame) -> int:
        """What is decoded from now on carries the generation that this gives in its `pts`: frames
        of the one before may still be in the decoder, and are not the new one's."""
        self.take = take
        self.generation += 1
        return self.generation

    def _on_item(self, item: Any) -> None:
        if item is None:
            self._put(None)
            return
        codec, frame = item
        if self.take is None or not frame.data:
            return
        mime = codec.mimeType.lower().partition("/")[2]
        plain = self.take(EncodedFrame(mime, frame.data, frame.timestamp))
        if plain is not None:
            frame.data = plain
            frame.timestamp += self.generation << GENERATION_SHIFT
            self._put((codec, frame))

    async def _on_rtcp(self, packet: Any) -> None:
        if isinstance(packet, RtcpSrPacket):
            mapper = getattr(self._receiver, TIMESTAMPS)
            origin = mapper._origin  # noqa: SLF001
            if origin is not None and packet.sender_info.ntp_timestamp:
                # Signed distance from the first frame: the report may be older than it.
                behind = (packet.sender_info.rtp_timestamp - mapper._last) & 0xFFFFFFFF  # noqa: SLF001
                behind -= (behind & 0x80000000) << 1
                ntp_s = packet.sender_info.ntp_timestamp / 2**32
                self.report = SenderReport(ntp_s, mapper._last - origin + behind)  # noqa: SLF001
        await self._handle_rtcp(packet)

    def request_key_frame(self) -> None:
        repairs = getattr(self._receiver, RTX_SOURCES)
        for source in self._receiver.getSynchronizationSources():
            if source.source not in repairs:
                pli = asyncio.ensure_future(self._receiver._send_rtcp_pli(source.source))  # noqa: SLF001
                self._pli.add(pli)
                pli.add_done_callback(self._pli.discard)

    async def packets_lost(self) -> int:
        report = await self._receiver.getStats()
        return sum(
            max(0, int(row.packetsLost)) for row in report.values() if row.type == "inbound-rtp"
        )
