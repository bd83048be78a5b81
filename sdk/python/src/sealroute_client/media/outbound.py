"""Encryption and rate of what aiortc sends, between its encoders and its packetizers.

aiortc has no public hook there. The private names this module leans on are checked by
`check_sender` when a sender is attached, and pinned by a test.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from aiortc import RTCRtpSender
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.opus import OpusEncoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtcrtpsender import RTCEncodedFrame
from av.frame import Frame
from av.packet import Packet

from sealroute_client.e2ee.bitstream import join_annexb, split_annexb
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.errors import EncryptionInternalError, EncryptionUnsupportedCodec

ENCODER: Final = "_RTCRtpSender__encoder"
FORCE_KEY_FRAME: Final = "_RTCRtpSender__force_keyframe"
EncryptFrame = Callable[[CodecId, bytes], bytes | None]
"""Gives the wire form, or None when the frame must not be sent."""

_RATES_BPS: Final = ((160 * 120, 150_000), (320 * 240, 400_000), (640 * 480, 1_200_000))
_RATES_HD_BPS: Final = ((1280 * 720, 2_500_000), (1920 * 1080, 4_500_000))
MIN_BITRATE_BPS: Final = 100_000


def video_bitrate_bps(width: int, height: int) -> int:
    """A rate that keeps 30 frames a second of real-time VP8 or H.264 clean at this size."""
    for pixels, rate in (*_RATES_BPS, *_RATES_HD_BPS):
        if width * height <= pixels:
            return rate
    return 6_000_000


class _Rated:
    """The bitrate of a video encoder: by size, lowered by the receiver's estimate (REMB)."""

    _ceiling_bps = 1_200_000
    _remb_bps: int | None = None

    @property
    def target_bitrate(self) -> int:
        if self._remb_bps is None:
            return self._ceiling_bps
        return max(MIN_BITRATE_BPS, min(self._remb_bps, self._ceiling_bps))

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._remb_bps = bitrate

    def _adapt(self, frame: Frame) -> None:
        self._ceiling_bps = video_bitrate_bps(frame.width, frame.height)  # type: ignore[attr-defined]


class EncryptedVp8Encoder(_Rated, Vp8Encoder):
    """Encrypts whole frames before they are cut into packets."""

    def __init__(self, encrypt: EncryptFrame) -> None:
        super().__init__()
        self._encrypt = encrypt

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        self._adapt(frame)
        # libvpx takes the buffer size from aiortc's own field.
        self._Vp8Encoder__target_bitrate = self.target_bitrate
        return super().encode(frame, force_keyframe)

    def _packetize(self, buffer: bytes, picture_id: int) -> list[bytes]:  # type: ignore[override]
        wire = self._encrypt(CodecId.VP8, buffer) if buffer else None
        return Vp8Encoder._packetize(wire, picture_id) if wire else []  # noqa: SLF001


class EncryptedH264Encoder(_Rated, H264Encoder):
    """Encrypts whole access units; the packetizer sees parameter sets and one opaque slice."""

    def __init__(self, encrypt: EncryptFrame) -> None:
        super().__init__()
        self._encrypt = encrypt

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        self._adapt(frame)
        return super().encode(frame, force_keyframe)

    def _packetize(self, packages: Iterable[bytes]) -> list[bytes]:  # type: ignore[override]
        nals = [nal for nal in packages if nal]
        wire = self._encrypt(CodecId.H264, join_annexb(nals)) if nals else None
        return H264Encoder._packetize(split_annexb(wire)) if wire else []  # noqa: SLF001


class EncryptedOpusEncoder(OpusEncoder):
    """Encrypts each Opus packet."""

    def __init__(self, encrypt: EncryptFrame) -> None:
        super().__init__()
        self._encrypt = encrypt

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        payloads, timestamp = super().encode(frame, force_keyframe)
        return self._encrypted(payloads), timestamp

    def pack(self, packet: "Packet[Any]") -> tuple[list[bytes], int]:
        payloads, timestamp = super().pack(packet)
        return self._encrypted(payloads), timestamp

    def _encrypted(self, payloads: list[bytes]) -> list[bytes]:
        wires = (self._encrypt(CodecId.OPUS, payload) for payload in payloads if payload)
        return [wire for wire in wires if wire]


ENCODERS: Final[dict[str, Callable[[EncryptFrame], Any]]] = {
    "video/vp8": EncryptedVp8Encoder,
    "video/h264": EncryptedH264Encoder,
    "audio/opus": EncryptedOpusEncoder,
}


def check_sender(sender: RTCRtpSender) -> None:
    """Errors: EncryptionInternalError when this aiortc cannot be hooked; nothing is sent."""
    names = (ENCODER, FORCE_KEY_FRAME, "_next_encoded_frame", "_send_keyframe")
    if any(not hasattr(sender, name) for name in names):
        raise EncryptionInternalError("This version of aiortc cannot be used")


@dataclass(frozen=True, slots=True)
class Gate:
    """While `is_idle`, frames are taken from the source and not even encoded. What an encoder, in a
    thread of its own, has given is dropped unless it `may_send` at that moment."""

    is_idle: Callable[[], bool] = lambda: False
    may_send: Callable[[], bool] = lambda: True


def attach(
    sender: RTCRtpSender,
    encrypt: EncryptFrame,
    on_frame: Callable[[int], None],
    gate: Gate = Gate(),
) -> None:
    """From now on only what `encrypt` returns and `gate` lets through reaches RTP; `on_frame` hears
    each frame's bytes.

    Errors: EncryptionInternalError.
    """
    check_sender(sender)
    original = sender._next_encoded_frame  # noqa: SLF001
    encoder: Any = None

    async def next_encoded_frame(codec: RTCRtpCodecParameters) -> RTCEncodedFrame | None:
        nonlocal encoder
        if gate.is_idle() and sender.track is not None:
            await sender.track.recv()
            return None
        if encoder is None:
            build = ENCODERS.get(codec.mimeType.lower())
            if build is None:
                raise EncryptionUnsupportedCodec(f"{codec.mimeType} cannot be encrypted")
            encoder = build(encrypt)
            setattr(sender, ENCODER, encoder)
        frame = await original(codec)
        # The frame of any other encoder would be in clear: never pass it on.
        if frame is None or getattr(sender, ENCODER) is not encoder:
            return None
        if not gate.may_send():
            return None
        on_frame(sum(map(len, frame.payloads)))
        return frame

    sender._next_encoded_frame = next_encoded_frame  # type: ignore[method-assign]  # noqa: SLF001


def request_key_frame(sender: RTCRtpSender) -> None:
    sender._send_keyframe()  # noqa: SLF001
