"""What e2ee/2 does to the frames of each codec (section 4): what stays clear, and wrapping."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sealroute_client.e2ee import bitstream
from sealroute_client.e2ee.bitstream import FormatError

VERSION: Final = 2
MAX_FRAME_BYTES: Final = 8 * 1024 * 1024
"""Far above any frame a real-time encoder makes; bounds the work a peer can cause."""


class CodecId(IntEnum):
    """The codec in the authenticated metadata; an encrypted frame fits one decoder only.
    Audio is Opus or nothing."""

    OPUS = 0
    VP8 = 1
    VP9 = 2
    H264 = 3
    AV1 = 4
    SIGNAL = 0x10


EncryptPart = Callable[[bytes, bytes], bytes]
"""(metadata, plaintext) → SFrame"""


@dataclass(frozen=True, slots=True)
class EncryptedFrame:
    """A frame taken apart: its SFrame and the metadata that authenticates with it."""

    sframe: bytes
    metadata: bytes
    clear: bytes = b""


def metadata(codec: CodecId, clear: bytes = b"") -> bytes:
    return bytes([VERSION, codec]) + clear


def encrypt(codec: CodecId, frame: bytes, encrypt_part: EncryptPart) -> bytes:
    """The wire form. Errors: FormatError for a frame that cannot be encrypted; drop it."""
    if not frame:
        raise FormatError("empty frame")
    return _ENCRYPT[codec](codec, frame, encrypt_part)


def split(codec: CodecId, wire: bytes) -> EncryptedFrame:
    """Finds the SFrame. Errors: FormatError when this is no encrypted frame of the codec."""
    if not wire or len(wire) > MAX_FRAME_BYTES:
        raise FormatError("bad length")
    return _SPLIT[codec](codec, wire)


def join(codec: CodecId, encrypted: EncryptedFrame, plaintext: bytes) -> bytes:
    """The frame for the decoder, from what the SFrame contained."""
    if codec is CodecId.H264:
        return bitstream.START_CODE + plaintext
    return encrypted.clear + plaintext


def _encrypt_whole(codec: CodecId, frame: bytes, encrypt_part: EncryptPart) -> bytes:
    return encrypt_part(metadata(codec), frame)


def _split_whole(codec: CodecId, wire: bytes) -> EncryptedFrame:
    return EncryptedFrame(wire, metadata(codec))


def _vp8_clear_bytes(frame: bytes) -> int:
    """Key frames show their size (RFC 7741 section 4.3); others only the frame tag."""
    length = 1 if frame[0] & 1 else 10
    if len(frame) < length:
        raise FormatError("VP8 key frame cut short")
    return length


def _encrypt_vp8(codec: CodecId, frame: bytes, encrypt_part: EncryptPart) -> bytes:
    length = _vp8_clear_bytes(frame)
    clear = frame[:length]
    return clear + encrypt_part(metadata(codec, clear), frame[length:])


def _split_vp8(codec: CodecId, wire: bytes) -> EncryptedFrame:
    length = _vp8_clear_bytes(wire)
    clear = wire[:length]
    return EncryptedFrame(wire[length:], metadata(codec, clear), clear)


def _encrypt_h264(codec: CodecId, frame: bytes, encrypt_part: EncryptPart) -> bytes:
    nals = bitstream.split_annexb(frame)
    slices = [nal for nal in nals if nal[0] & 0x1F in (bitstream.NAL_SLICE, bitstream.NAL_IDR)]
    if not slices:
        raise FormatError("no slice in the access unit")
    is_idr = any(nal[0] & 0x1F == bitstream.NAL_IDR for nal in slices)
    prefix = bitstream.slice_prefix(is_idr=is_idr, pps_id=bitstream.slice_pps_id(slices[0]))
    sframe = encrypt_part(metadata(codec), bitstream.START_CODE.join(nals))
    wrapped = bytes([0x65 if is_idr else 0x41]) + prefix
    wrapped += bitstream.add_emulation_prevention(sframe + b"\x80")
    copies = [
        nal
        for kind in (bitstream.NAL_SPS, bitstream.NAL_PPS)
        for nal in nals
        if nal[0] & 0x1F == kind
    ]
    return bitstream.join_annexb([*copies, wrapped])


def _split_h264(codec: CodecId, wire: bytes) -> EncryptedFrame:
    for nal in bitstream.split_annexb(wire):
        if nal[0] & 0x1F in (bitstream.NAL_SLICE, bitstream.NAL_IDR):
            body = bitstream.after_slice_prefix(nal)
            if not body or body[-1] != 0x80:
                raise FormatError("not wrapped")
            return EncryptedFrame(body[:-1], metadata(codec))
    raise FormatError("no slice")


def _encrypt_av1(codec: CodecId, frame: bytes, encrypt_part: EncryptPart) -> bytes:
    copies = [
        obu for kind, obu, _ in bitstream.walk_obus(frame) if kind == bitstream.OBU_SEQUENCE_HEADER
    ]
    # type 6 (frame), no extension, no size: what follows is opaque to the packetizer
    return b"".join(copies[:1]) + b"\x30" + encrypt_part(metadata(codec), frame)


def _split_av1(codec: CodecId, wire: bytes) -> EncryptedFrame:
    for kind, _, payload in bitstream.walk_obus(wire):
        if kind == bitstream.OBU_FRAME:
            return EncryptedFrame(payload, metadata(codec))
    raise FormatError("no frame OBU")


_ENCRYPT: Final[dict[CodecId, Callable[[CodecId, bytes, EncryptPart], bytes]]] = {
    CodecId.OPUS: _encrypt_whole,
    CodecId.VP9: _encrypt_whole,
    CodecId.SIGNAL: _encrypt_whole,
    CodecId.VP8: _encrypt_vp8,
    CodecId.H264: _encrypt_h264,
    CodecId.AV1: _encrypt_av1,
}
_SPLIT: Final[dict[CodecId, Callable[[CodecId, bytes], EncryptedFrame]]] = {
    CodecId.OPUS: _split_whole,
    CodecId.VP9: _split_whole,
    CodecId.SIGNAL: _split_whole,
    CodecId.VP8: _split_vp8,
    CodecId.H264: _split_h264,
    CodecId.AV1: _split_av1,
}
