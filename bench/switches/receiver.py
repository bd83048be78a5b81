"""A subscriber: packets in order, frames put together, decrypted, decoded and compared."""

from collections import Counter
from dataclasses import dataclass, field

import av
from aiortc.rtp import (
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPsfbPacket,
    RtcpRtpfbPacket,
)
from sealroute_client.e2ee.bitstream import join_annexb, split_annexb
from sealroute_client.e2ee.decryption import Decryptor
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.identity import Outcome

from bench.switches.core import FIRST_SINK_SSRC, RTX_PAYLOAD_TYPE
from bench.switches.library import Decoder, Frame, Library, checksum, shows
from bench.switches.packets import Header, Marks, Packet, PacketError, join, parse
from bench.switches.plan import Plan

_ASK_EVERY_S = 0.06
_GIVE_UP_S = 0.6
_PLI_EVERY_S = 0.25
_MAX_FAULTS = 20
_MAX_LOST_IMAGES = 20
"""Whether a frame that was lost on the uplink was one of an upper layer is not known there."""


@dataclass(slots=True)
class Seen:
    """What came out. `faults` says what must never be, the first of them in words."""

    frames: int = 0
    decoded: int = 0
    switches: int = 0
    layer_changes: int = 0
    cut: int = 0
    """Frames that ended early because another encoding's key frame took their place."""
    empty: int = 0
    """Packets of nothing but padding."""
    jumps: int = 0
    """Gaps that were left behind because a whole key frame stood after them."""
    gaps: int = 0
    """Gaps that were waited for in vain."""
    skipped: int = 0
    longest_wait_s: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def fault(self, kind: str, detail: str) -> None:
        self.kinds[kind] += 1
        if len(self.faults) < _MAX_FAULTS:
            self.faults.append(f"{kind}: {detail}")


class Receiver:
    """Owner of one subscriber's buffer, keys and decoder."""

    def __init__(self, number: int, library: Library, decryptor: Decryptor, plan: Plan) -> None:
        self._library = library
        self._form = library.form
        self._decryptor = decryptor
        self._plan = plan
        self._ssrc = FIRST_SINK_SSRC + 2 * number
        self._decoder = Decoder(self._form)
        self._known = {
            frame.data if self._form.codec != "h264" else _canonical(frame.data): frame
            for clips in library.clips
            for clip in clips
            for frame in clip
        }
        self._packets: dict[int, Packet] = {}
        self._next: int | None = None
        self._newest = 0
        self._missing_since: float | None = None
        self._asked_at = -1.0
        self._pli_at = -1.0
        self._frame: list[Packet] = []
        self._waits_for_key = True
        self._was_cut = False
        self._last: tuple[Frame, Marks, int] | None = None
        self._last_at: float | None = None
        self._top = 0
        self._unsettled = True
        self._group_top = 0
        self.seen = Seen()

    @property
    def current(self) -> Frame | None:
        return self._last[0] if self._last else None

    def take(self, now: float, data: bytes) -> None:
        packet = parse(data)
        header = packet.header
        if header.payload_type == RTX_PAYLOAD_TYPE:
            if len(packet.payload) < 2:
                return
            sequence = int.from_bytes(packet.payload[:2], "big")
            header = Header(header.marker, 0, sequence, header.timestamp, self._ssrc)
            packet = Packet(header, packet.extensions, packet.payload[2:])
        elif header.ssrc != self._ssrc:
            self.seen.fault("ssrc", f"{header.ssrc:x}")
        self._insert(packet)
        self._drain(now)

    def ask(self, now: float) -> list[bytes]:
        """RTCP that is due."""
        asks = []
        if self._missing_since is not None and self._next is not None:
            lost = [n for n in range(self._next, self._newest + 1) if n not in self._packets]
            if self._plan.nack and now - self._asked_at >= _ASK_EVERY_S:
                self._asked_at = now
                wanted = [n & 0xFFFF for n in lost[:200]]
                feedback = RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, self._ssrc, lost=wanted)
                asks.append(bytes(feedback))
            if self._jump(now):
                self.seen.jumps += 1
            elif not self._plan.nack or now - self._missing_since > _GIVE_UP_S:
                self._give_up(now)
        if self._waits_for_key and now - self._pli_at >= _PLI_EVERY_S:
            self._pli_at = now
            asks.append(bytes(RtcpPsfbPacket(RTCP_PSFB_PLI, 1, self._ssrc)))
        return asks

    def _insert(self, packet: Packet) -> None:
        sequence = packet.header.sequence
        if self._next is None:
            self._next = self._newest = sequence + 0x1_0000
        distance = (sequence - self._newest + 0x8000 & 0xFFFF) - 0x8000
        number = self._newest + distance
        if number < self._next:
            return
        earlier = self._packets.setdefault(number, packet)
        if earlier.payload != packet.payload:
            self.seen.fault("number", f"two packets have the number {sequence}")
        self._newest = max(self._newest, number)

    def _drain(self, now: float) -> None:
        assert self._next is not None
        while packet := self._packets.pop(self._next, None):
            self._next += 1
            self._take_in_order(now, packet)
        missing = self._next <= self._newest
        if not missing:
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = now

    def _jump(self, now: float) -> bool:
        """As browsers: a whole key frame needs nothing of what is missing before it."""
        assert self._next is not None
        run: list[Packet] = []
        for number in range(self._next, self._newest + 1):
            packet = self._packets.get(number)
            if packet is None:
                run = []
                continue
            if run and run[-1].header.timestamp != packet.header.timestamp:
                run = []
            run.append(packet)
            if packet.header.marker:
                if self._is_key(run):
                    self._skip_to(number - len(run) + 1)
                    self._drain(now)
                    return True
                run = []
        return False

    def _is_key(self, packets: list[Packet]) -> bool:
        try:
            return join(self._form.codec, [packet.payload for packet in packets])[1].is_key
        except PacketError:
            return False

    def _skip_to(self, number: int) -> None:
        assert self._next is not None
        for skipped in range(self._next, number):
            self._packets.pop(skipped, None)
        self._next = number
        self._frame = []
        self._waits_for_key = True
        self._missing_since = None

    def _give_up(self, now: float) -> None:
        """What is missing will not come: the next frame that can be decoded is a key frame."""
        assert self._next is not None
        self.seen.gaps += 1
        self._skip_to(min((n for n in self._packets if n > self._next), default=self._newest + 1))
        self._drain(now)

    def _take_in_order(self, now: float, packet: Packet) -> None:
        if not packet.payload:
            self.seen.empty += 1
            return
        if self._frame and self._frame[0].header.timestamp != packet.header.timestamp:
            self._was_cut = not self._waits_for_key
            self._frame = []
        self._frame.append(packet)
        if packet.header.marker:
            frame, self._frame = self._frame, []
            self._take_frame(now, frame)
            self._was_cut = False

    def _take_frame(self, now: float, packets: list[Packet]) -> None:
        timestamp = packets[0].header.timestamp
        try:
            wire, marks = join(self._form.codec, [packet.payload for packet in packets])
        except PacketError as error:
            if not self._waits_for_key:
                self.seen.fault("packets", str(error))
            return
        decrypted = self._decryptor.decrypt(CodecId[self._form.codec.upper()], wire, now)
        if decrypted.outcome is not Outcome.OK:
            if not self._waits_for_key:
                self.seen.fault("decrypted", decrypted.outcome.value)
            return
        frame = self._known.get(decrypted.frame)
        if frame is None:
            self.seen.fault("content", "no frame that was sent")
            return
        if self._waits_for_key and not frame.is_key:
            self.seen.skipped += 1
            return
        self._compare(frame, marks, timestamp)
        self._note(now, frame)
        self._decode(frame, decrypted.frame)
        self._last = (frame, marks, timestamp)
        self._waits_for_key = False

    def _compare(self, frame: Frame, marks: Marks, timestamp: int) -> None:
        """Numbers of this frame against those of the one before."""
        if self._last is None or self._waits_for_key:
            return
        last, before, earlier = self._last
        if self._was_cut:
            self.seen.cut += 1
            if not frame.is_key:
                self.seen.fault("frame", "another begins before one has ended")
        if not 0 < timestamp - earlier & 0xFFFFFFFF < 0x8000_0000:
            self.seen.fault("timestamp", f"{earlier} then {timestamp}")
        if (last.encoding, last.clip) != (frame.encoding, frame.clip) and not frame.is_key:
            self.seen.fault("mixed", f"{last.encoding}/{last.clip} then {frame.encoding}")
        if self._form.codec != "vp8":
            return
        step = marks.picture_id - before.picture_id & 0x7FFF
        if not 1 <= step <= (_MAX_LOST_IMAGES if self._plan.loss else 1 + self._was_cut):
            self.seen.fault("picture id", f"{before.picture_id} then {marks.picture_id}")
        moved = marks.tl0 - before.tl0 & 0xFF
        if marks.layers > 1 and not 0 <= moved - (frame.temporal == 0) <= self._was_cut:
            self.seen.fault("TL0PICIDX", f"{before.tl0} then {marks.tl0}")

    def _note(self, now: float, frame: Frame) -> None:
        self.seen.frames += 1
        last = self._last[0] if self._last else None
        if last and last.encoding != frame.encoding:
            self.seen.switches += 1
        if self._last_at is not None:
            self.seen.longest_wait_s = max(self.seen.longest_wait_s, now - self._last_at)
        self._last_at = now
        self._note_layer(frame)

    def _note_layer(self, frame: Frame) -> None:
        """Counts changes of the highest temporal layer; the first group of a clip shows it."""
        if frame.temporal > self._top and not self._unsettled:
            self._top = frame.temporal
            self.seen.layer_changes += 1
        if frame.temporal == 0:
            if self._unsettled or self._group_top < self._top:
                self.seen.layer_changes += not self._unsettled
                self._top = self._group_top
            self._unsettled = frame.is_key
            self._group_top = 0
        self._group_top = max(self._group_top, frame.temporal)

    def _decode(self, frame: Frame, data: bytes) -> None:
        place = f"encoding {frame.encoding}, clip {frame.clip}, frame {frame.index}"
        try:
            image = self._decoder.decode(data)
        except av.FFmpegError as error:
            self.seen.fault("decoder", f"{error}: {place}")
            return
        if image is None:
            self.seen.fault("decoder", f"no whole frame: {place}")
        elif checksum(image) != frame.image or shows(image) != frame.encoding:
            self.seen.fault("picture", f"not as encoded: {place}")
        else:
            self.seen.decoded += 1


def _canonical(data: bytes) -> bytes:
    """H.264 as it comes out of an encrypted frame: start codes of four bytes."""
    return join_annexb(split_annexb(data))
