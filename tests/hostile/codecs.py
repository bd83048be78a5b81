"""Of each codec: where its key frames begin, and what of a frame is encrypted.

An own reading of RFC 7741, 9628 and 6184, of AV1's RTP payload format, and of docs/e2ee.md, not the
clients': a fault there must not hide here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiortc.codecs.vpx import VpxPayloadDescriptor

VP8_KEY_FRAME_CLEAR = 10
"""Bytes of a VP8 key frame that stay clear: the frame tag, start code and size."""
AV1_ENCRYPTED = 6
"""The type of the OBU that holds the encrypted frame."""


@dataclass(frozen=True, slots=True)
class Codec:
    """`begins_key_frame` of a payload. `encrypted`: of a frame's payloads, in order, what should be
    SFrame, and the frame as its sender had it where that can be known; None: its beginning was
    lost. Errors: ValueError for what is not of the codec."""

    mime: str
    begins_key_frame: Callable[[bytes], bool]
    encrypted: Callable[[list[bytes]], tuple[bytes, bytes] | None]


# --- VP8 ---------------------------------------------------------------------------------------


def _vp8_key(payload: bytes) -> bool:
    descriptor, rest = VpxPayloadDescriptor.parse(payload)
    return bool(descriptor.partition_start and rest and not rest[0] & 1)


def _vp8(payloads: list[bytes]) -> tuple[bytes, bytes] | None:
    parts = [VpxPayloadDescriptor.parse(payload) for payload in payloads]
    if not parts[0][0].partition_start:
        return None
    whole = b"".join(rest for _, rest in parts)
    return whole[1 if whole[0] & 1 else VP8_KEY_FRAME_CLEAR :], whole


# --- VP9 ---------------------------------------------------------------------------------------


def _vp9_key(payload: bytes) -> bool:
    return bool(payload[0] & 0x08 and not payload[0] & 0x40)


def _vp9(payloads: list[bytes]) -> tuple[bytes, bytes] | None:
    if not payloads[0][0] & 0x08:
        return None
    whole = b"".join(payload[_vp9_descriptor(payload) :] for payload in payloads)
    return whole, whole


def _vp9_descriptor(payload: bytes) -> int:
    """Its length."""
    first, at = payload[0], 1
    if first & 0x80:
        at += 2 if payload[at] & 0x80 else 1
    if first & 0x20:
        at += 1 if first & 0x10 else 2
    if first & 0x10 and first & 0x40:
        while payload[at] & 1:
            at += 1
        at += 1
    return _vp9_structure(payload, at) if first & 0x02 else at


def _vp9_structure(payload: bytes, at: int) -> int:
    head, at = payload[at], at + 1
    if head & 0x10:
        at += 4 * ((head >> 5) + 1)
    if head & 0x08:
        entries, at = payload[at], at + 1
        for _ in range(entries):
            at += 1 + (payload[at] >> 2 & 3)
    return at


# --- H.264 -------------------------------------------------------------------------------------


def _h264_key(payload: bytes) -> bool:
    kind = payload[0] & 31
    if kind == 28:
        return bool(payload[1] & 0x80) and payload[1] & 31 == 5
    return (payload[3] & 31 if kind == 24 else kind) in (5, 7)


def _h264(payloads: list[bytes]) -> tuple[bytes, bytes] | None:
    nals = list(_nals(payloads))
    slices = [nal for nal in nals if nal[0] & 31 in (1, 5)]
    if not slices:
        return None
    inside = slices[0][1:]
    # Every 00 00 03 is an escape: an encoder leaves none of the data's own.
    data = inside[_slice_head(inside) :].replace(b"\0\0\3", b"\0\0")
    if not data.endswith(b"\x80"):
        raise ValueError("no end of an encrypted slice")
    return data[:-1], b"".join(slices)


def _nals(payloads: list[bytes]) -> Iterator[bytes]:
    part = b""
    for payload in payloads:
        kind = payload[0] & 31
        if kind == 24:
            at = 1
            while at + 2 <= len(payload):
                length = int.from_bytes(payload[at : at + 2], "big")
                yield payload[at + 2 : at + 2 + length]
                at += 2 + length
        elif kind == 28:
            if payload[1] & 0x80:
                part = bytes([payload[0] & 0xE0 | payload[1] & 31])
            part += payload[2:] if part else b""
            if payload[1] & 0x40 and part:
                yield part
                part = b""
        else:
            yield payload


def _slice_head(data: bytes) -> int:
    """Bytes of three Exp-Golomb codes."""
    bits = "".join(f"{byte:08b}" for byte in data[:16])
    at = 0
    for _ in range(3):
        zeros = bits.index("1", at) - at
        at += 2 * zeros + 1
    return -(-at // 8)


# --- AV1 ---------------------------------------------------------------------------------------


def _av1_key(payload: bytes) -> bool:
    return bool(payload[0] & 0x08)


def _av1(payloads: list[bytes]) -> tuple[bytes, bytes] | None:
    if payloads[0][0] & 0x80:
        return None
    for unit in _units(payloads):
        if unit[0] >> 3 & 15 == AV1_ENCRYPTED:
            at = 2 if unit[0] & 4 else 1
            if unit[0] & 2:
                _, at = _leb128(unit, at)
            return unit[at:], unit
    raise ValueError("no encrypted OBU")


def _units(payloads: list[bytes]) -> Iterator[bytes]:
    part = b""
    for payload in payloads:
        elements = list(_elements(payload))
        for index, element in enumerate(elements):
            part += element
            if index < len(elements) - 1 or not payload[0] & 0x40:
                yield part
                part = b""


def _elements(payload: bytes) -> Iterator[bytes]:
    count, at = payload[0] >> 4 & 3, 1
    index = 0
    while at < len(payload):
        index += 1
        length = len(payload) - at
        if index != count:
            length, at = _leb128(payload, at)
        yield payload[at : at + length]
        at += length


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


CODECS = {
    "vp8": Codec("VP8/90000", _vp8_key, _vp8),
    "vp9": Codec("VP9/90000", _vp9_key, _vp9),
    "h264": Codec("H264/90000", _h264_key, _h264),
    "av1": Codec("AV1/90000", _av1_key, _av1),
}


def begins_key_frame(codec: str, payload: bytes) -> bool:
    """False for what is not of the codec."""
    try:
        return CODECS[codec].begins_key_frame(payload)
    except (ValueError, IndexError):
        return False
