"""A publisher of three encodings whose clips it can begin again when a key frame is asked for."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRtpfbPacket,
)
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.keys import Encryptor

from bench.switches.core import PAYLOAD_TYPE, RTX_PAYLOAD_TYPE
from bench.switches.library import Frame, Library
from bench.switches.packets import Header, Marks, packetise

MID_ID, RID_ID, REPAIRED_RID_ID = 4, 10, 11
RIDS = ("q", "h", "f")
TICKS_PER_FRAME = 3_000
_PACKETS_WITH_NAMES = 60
"""As browsers: MID and RID until the receiver can be taken to know the SSRC."""
_KEPT = 600
_LONGEST_CLIP = 24


def is_sync(frame: Frame) -> bool:
    """Whether its temporal layer can be entered there: it uses lower layers only.

    Of the patterns here, that is every frame of an upper layer but the last of three layers' four,
    which uses the middle layer.
    """
    return frame.temporal > 0 and not (frame.temporal == 2 and frame.index % 4 == 3)


@dataclass(slots=True)
class Encoding:
    """One RtpStream: where it is in its clips, and its numbers."""

    number: int
    ssrc: int
    sequence: int
    timestamp: int
    picture_id: int
    tl0: int
    clip: int = 0
    index: int = 0
    length: int = 1
    silent_frames: int = 0
    rtx_sequence: int = 7
    packets: int = 0
    sent: OrderedDict[int, tuple[Header, bytes]] = field(default_factory=OrderedDict)


class Publisher:
    """Owner of the sending side: clips, encryption, packets, and what is asked of it."""

    def __init__(
        self, library: Library, encryptor: Encryptor, random: Random, *, rtx: bool
    ) -> None:
        self._library = library
        self._encryptor = encryptor
        self._random = random
        self._rtx = rtx
        self._codec = CodecId[library.form.codec.upper()]
        self._layers = max(library.form.temporal) + 1
        self.key_frames = 0
        self.frames = 0
        self.encodings = [
            Encoding(
                number=number,
                ssrc=0x1000 + 0x10 * number,
                sequence=random.getrandbits(16),
                timestamp=random.getrandbits(32),
                picture_id=random.getrandbits(15),
                tl0=random.getrandbits(8),
            )
            for number in range(len(library.clips))
        ]
        for encoding in self.encodings:
            self._next_clip(encoding)

    def silence(self, encoding: int, frames: int) -> None:
        """It sends nothing for a time, and a key frame then."""
        self.encodings[encoding].silent_frames = frames

    def step(self) -> Iterator[bytes]:
        """The packets of the next frame, those of the encodings mixed as pacers do it."""
        queues = [list(self._next_frame(encoding)) for encoding in self.encodings]
        while queues := [queue for queue in queues if queue]:
            yield self._random.choice(queues).pop(0)

    def _next_frame(self, encoding: Encoding) -> Iterator[bytes]:
        encoding.timestamp = (encoding.timestamp + TICKS_PER_FRAME) & 0xFFFFFFFF
        if encoding.silent_frames:
            encoding.silent_frames -= 1
            if not encoding.silent_frames:
                self._next_clip(encoding)
            return
        if encoding.index == encoding.length:
            self._next_clip(encoding)
        frame = self._library.clips[encoding.number][encoding.clip][encoding.index]
        encoding.index += 1
        yield from self._packets(encoding, frame)

    def take_rtcp(self, compound: bytes) -> Iterator[bytes]:
        """What is asked for again. Key frames come with the next frame."""
        for packet in RtcpPacket.parse(compound):
            if isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
                self._asked(packet.media_ssrc)
            if isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
                yield from self._again(packet.media_ssrc, packet.lost)

    def _asked(self, ssrc: int) -> None:
        for encoding in self.encodings:
            if encoding.ssrc == ssrc and encoding.index > 0:
                self._next_clip(encoding)

    def _again(self, ssrc: int, lost: list[int]) -> Iterator[bytes]:
        for encoding in self.encodings:
            for sequence in lost if encoding.ssrc == ssrc else ():
                if sequence in encoding.sent:
                    yield self._repeated(encoding, *encoding.sent[sequence])

    def _repeated(self, encoding: Encoding, header: Header, payload: bytes) -> bytes:
        if not self._rtx:
            return header.write() + payload
        encoding.rtx_sequence = (encoding.rtx_sequence + 1) & 0xFFFF
        again = Header(
            header.marker, RTX_PAYLOAD_TYPE, encoding.rtx_sequence, header.timestamp,
            encoding.ssrc + 1,
        )  # fmt: skip
        names = [(MID_ID, b"0"), (REPAIRED_RID_ID, RIDS[encoding.number].encode())]
        return again.write(names) + header.sequence.to_bytes(2, "big") + payload

    def _next_clip(self, encoding: Encoding) -> None:
        clips = self._library.clips[encoding.number]
        encoding.clip = self._random.randrange(len(clips))
        encoding.index = 0
        longest = min(_LONGEST_CLIP, len(clips[encoding.clip]))
        encoding.length = self._random.randint(min(5, longest), longest)

    def _packets(self, encoding: Encoding, frame: Frame) -> Iterator[bytes]:
        wire = self._encryptor.encrypt(self._codec, frame.data)
        if wire is None:
            raise RuntimeError("a frame of a real encoder could not be encrypted")
        self.frames += 1
        self.key_frames += frame.is_key
        encoding.picture_id = (encoding.picture_id + 1) & 0x7FFF
        if frame.temporal == 0:
            encoding.tl0 = (encoding.tl0 + 1) & 0xFF
        marks = Marks(
            frame.is_key, encoding.picture_id, encoding.tl0, frame.temporal, is_sync(frame),
            self._layers,
        )  # fmt: skip
        payloads = packetise(self._library.form.codec, wire, marks)
        for place, payload in enumerate(payloads):
            header = Header(
                place == len(payloads) - 1, PAYLOAD_TYPE, encoding.sequence, encoding.timestamp,
                encoding.ssrc,
            )  # fmt: skip
            encoding.sequence = (encoding.sequence + 1) & 0xFFFF
            encoding.packets += 1
            encoding.sent[header.sequence] = (header, payload)
            if len(encoding.sent) > _KEPT:
                encoding.sent.popitem(last=False)
            names = [(MID_ID, b"0"), (RID_ID, RIDS[encoding.number].encode())]
            named = names if encoding.packets <= _PACKETS_WITH_NAMES else ()
            yield header.write(named) + payload
