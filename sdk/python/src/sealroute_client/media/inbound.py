"""Opening what aiortc receives, between its jitter buffer and its decoder.

As in `outbound`, the private names are checked when a receiver is attached.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiortc import RTCRtpReceiver
from aiortc.rtp import RtcpSrPacket

from sealroute_client.e2ee.bitstream import FormatError
from sealroute_client.errors import DecryptionInternalError
from sealroute_client.media import layered, receiving

DECODER_QUEUE: Final = "_RTCRtpReceiver__decoder_queue"
TIMESTAMPS: Final = "_RTCRtpReceiver__timestamp_mapper"
RTX_SOURCES: Final = "_RTCRtpReceiver__rtx_ssrc"
JITTER_BUFFER: Final = "_RTCRtpReceiver__jitter_buffer"
NACKS: Final = "_RTCRtpReceiver__nack_generator"
NUMBERS: Final = "_RTCRtpReceiver__codecs"
GENERATION_SHIFT: Final = 40
"""Above every timestamp that a call can reach (141 days of the video clock)."""


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """`timestamp` counts in the codec's clock from the receiver's first frame, without wraps.
    `layers`: the frames of VP9 and AV1, each encrypted by itself; `data` is all of them."""

    codec: str
    data: bytes
    timestamp: int
    layers: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class SenderReport:
    """The same instant on two clocks (RFC 3550 section 6.4.1)."""

    ntp_s: float
    timestamp: int


NEEDED: Final = (
    *(DECODER_QUEUE, TIMESTAMPS, RTX_SOURCES, JITTER_BUFFER, NACKS, NUMBERS),
    *("_handle_rtp_packet", "_handle_rtcp_packet", "_send_rtcp_pli"),
)
MAX_WAIT_S: Final = 1.0
"""For packets of a frame that were lost: longer than a retransmission takes on any usable path."""
ENOUGH_FRAMES: Final = 3
"""A frame is whole when the next one begins. Where a third begins, something is missing."""


class Gap:
    """Whether lost packets hold back all that came after them. Pure: time is a parameter.

    aiortc's buffer waits for them until 512 later packets have come, which at a low bit rate is
    half a minute without video.
    """

    def __init__(self) -> None:
        self._behind: set[int] = set()
        self._since_s = 0.0

    def on_frame(self) -> None:
        """One was whole, and left the buffer."""
        self._behind.clear()

    def on_packet(self, timestamp: int, now_s: float) -> bool:
        """True once for each gap that was waited for long enough."""
        if not self._behind:
            self._since_s = now_s
        if len(self._behind) < ENOUGH_FRAMES:
            self._behind.add(timestamp)
        if len(self._behind) < ENOUGH_FRAMES or now_s < self._since_s + MAX_WAIT_S:
            return False
        self._behind.clear()
        return True


def _encoded(codec: str, frame: Any) -> EncodedFrame | None:
    """None: its packets are no whole frame."""
    if codec not in layered.CODECS:
        return EncodedFrame(codec, frame.data, frame.timestamp)
    try:
        layers = layered.frames(codec, receiving.payloads(frame.data))
    except FormatError:
        return None
    return EncodedFrame(codec, b"".join(layers), frame.timestamp, layers)


TakeFrame = Callable[[EncodedFrame], bytes | None]
"""Gives what the decoder may have, or None: nothing."""


class InboundTap:
    """Stands between jitter buffer and decoder of one receiver; drops while nobody takes."""

    def __init__(self, receiver: RTCRtpReceiver) -> None:
        """Errors: DecryptionInternalError when this aiortc cannot be hooked."""
        if any(not hasattr(receiver, name) for name in NEEDED):
            raise DecryptionInternalError("This version of aiortc cannot be used")
        self._receiver = receiver
        self._queue: Any = getattr(receiver, DECODER_QUEUE)
        self._put = self._queue.put
        self._handle_rtcp = receiver._handle_rtcp_packet  # noqa: SLF001
        self._handle_rtp = receiver._handle_rtp_packet  # noqa: SLF001
        self._clock = time.monotonic
        self._gap = Gap()
        self._skipped: int | None = None
        """Timestamp of a frame whose beginning was given up; its later packets are dropped."""
        self.on_gap: Callable[[], None] = lambda: None
        """Called when packets that were lost are given up."""
        self._pli: set[asyncio.Future[None]] = set()
        self.take: TakeFrame | None = None
        self.generation = 0
        self.report: SenderReport | None = None
        self._queue.put = self._on_item
        receiver._handle_rtcp_packet = self._on_rtcp  # type: ignore[method-assign]  # noqa: SLF001
        if getattr(receiver, NACKS) is not None:
            # Audio waits for 16 packets at most.
            receiver._handle_rtp_packet = self._on_rtp  # type: ignore[method-assign]  # noqa: SLF001

    def give_to(self, take: TakeFrame, on_gap: Callable[[], None]) -> int:
        """What is decoded from now on carries the generation that this gives in its `pts`: frames
        of the one before may still be in the decoder, and are not the new one's."""
        self.take, self.on_gap = take, on_gap
        self.generation += 1
        return self.generation

    def take_from(self, generation: int) -> None:
        """Nobody takes any more; nothing happens if another one has taken over since."""
        if generation == self.generation:
            self.take, self.on_gap = None, lambda: None

    async def _on_rtp(self, packet: Any, arrival_time_ms: int) -> None:
        if self._skipped is not None:
            if packet.timestamp == self._skipped:
                return
            self._skipped = None
        await self._handle_rtp(packet, arrival_time_ms=arrival_time_ms)
        is_media = self._receiver._enabled and packet.payload_type in getattr(  # noqa: SLF001
            self._receiver, NUMBERS
        )
        if is_media and self._gap.on_packet(packet.timestamp, self._clock()):
            self._give_up(packet.timestamp)

    def _give_up(self, timestamp: int) -> None:
        buffer = getattr(self._receiver, JITTER_BUFFER)
        buffer.remove(buffer.capacity)
        buffer._origin = None  # noqa: SLF001
        getattr(self._receiver, NACKS).missing.clear()
        self._skipped = timestamp
        self.on_gap()

    def _on_item(self, item: Any) -> None:
        if item is None:
            self._put(None)
            return
        self._gap.on_frame()
        codec, frame = item
        if self.take is None or not frame.data:
            return
        encoded = _encoded(codec.mimeType.lower().partition("/")[2], frame)
        if encoded is None:
            self.on_gap()
            return
        plain = self.take(encoded)
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
