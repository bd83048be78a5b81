"""RTP packets as real senders build them, and frames put together from packets again.

VP8 and H264 go through aiortc's packetisers; VP9 follows RFC 9628 and AV1 the AV1 RTP
specification, with the fields that libwebrtc writes.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from aiortc.codecs.h264 import H264Encoder, H264PayloadDescriptor
from aiortc.codecs.vpx import VpxPayloadDescriptor
from sealroute_client.e2ee.bitstream import NAL_IDR, OBU_SEQUENCE_HEADER, split_annexb, walk_obus

PACKET_BYTES = 500
"""Small, so that small frames take several packets."""
_OBU_TEMPORAL_DELIMITER = 2


class PacketError(ValueError):
    """A packet that no receiver could use."""


@dataclass(frozen=True, slots=True)
class Header:
    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int

    def write(self, extensions: Sequence[tuple[int, bytes]] = ()) -> bytes:
        """Extensions in the one-byte form where all fit, else in the two-byte form."""
        fixed = struct.pack(
            "!BBHII", 0x90 if extensions else 0x80, self.marker << 7 | self.payload_type,
            self.sequence, self.timestamp, self.ssrc,
        )  # fmt: skip
        if not extensions:
            return fixed
        short = all(0 < len(value) <= 16 for _, value in extensions)
        if short:
            block = b"".join(bytes([i << 4 | len(v) - 1]) + v for i, v in extensions)
        else:
            block = b"".join(bytes([i, len(v)]) + v for i, v in extensions)
        block += bytes(-len(block) % 4)
        return fixed + struct.pack("!HH", 0xBEDE if short else 0x1000, len(block) // 4) + block


@dataclass(frozen=True, slots=True)
class Packet:
    header: Header
    extensions: dict[int, bytes]
    payload: bytes


def parse(data: bytes) -> Packet:
    """Errors: PacketError."""
    if len(data) < 12 or data[0] & 0xCF != 0x80:
        raise PacketError("not an RTP packet of this sender")
    second, sequence, timestamp, ssrc = struct.unpack_from("!BHII", data, 1)
    header = Header(bool(second & 0x80), second & 0x7F, sequence, timestamp, ssrc)
    at = 12
    extensions = {}
    if data[0] & 0x10:
        profile, words = struct.unpack_from("!HH", data, at)
        at += 4 + 4 * words
        extensions = _extensions(profile, data[16:at])
    end = len(data) - (data[-1] if data[0] & 0x20 else 0)
    return Packet(header, extensions, data[at:end])


def _extensions(profile: int, block: bytes) -> dict[int, bytes]:
    found = {}
    at = 0
    while at < len(block):
        if block[at] == 0:
            at += 1
            continue
        if profile == 0xBEDE:
            number, length, start = block[at] >> 4, (block[at] & 15) + 1, at + 1
        else:
            number, length, start = block[at], block[at + 1], at + 2
        at = start + length
        found[number] = block[start:at]
    return found


@dataclass(frozen=True, slots=True)
class Marks:
    """What the payload descriptor says of a frame."""

    is_key: bool = False
    picture_id: int = 0
    tl0: int = 0
    temporal: int = 0
    is_sync: bool = False
    """Its layer can be entered here."""
    layers: int = 1
    """Of receivers' reading: 2 stands for more than one."""


def _cut(data: bytes, room: int) -> list[bytes]:
    """As libwebrtc does: parts of about the same size."""
    count = -(-len(data) // room)
    bounds = [len(data) * part // count for part in range(count + 1)]
    return [data[start:end] for start, end in pairwise(bounds)]


def _vp8(wire: bytes, marks: Marks) -> list[bytes]:
    layered = marks.layers > 1
    payloads = []
    for index, part in enumerate(_cut(wire, PACKET_BYTES)):
        descriptor = VpxPayloadDescriptor(
            partition_start=int(index == 0),
            partition_id=0,
            picture_id=marks.picture_id,
            tl0picidx=marks.tl0 if layered else None,
            tid=(marks.temporal, int(marks.is_sync)) if layered else None,
        )
        payloads.append(bytes(descriptor) + part)
    return payloads


def _vp9(wire: bytes, marks: Marks) -> list[bytes]:
    """Non-flexible mode, as libwebrtc sends one spatial layer."""
    parts = _cut(wire, PACKET_BYTES)
    layered = marks.layers > 1
    payloads = []
    for index, part in enumerate(parts):
        first, last = index == 0, index == len(parts) - 1
        structure = first and marks.is_key
        flags = 0x80 | (not marks.is_key) << 6 | layered << 5
        flags |= first << 3 | last << 2 | structure << 1 | 1
        descriptor = struct.pack("!BH", flags, 0x8000 | marks.picture_id)
        if layered:
            descriptor += bytes([marks.temporal << 5 | marks.is_sync << 4, marks.tl0])
        if structure:
            descriptor += b"\x08" + _picture_group(marks)
        payloads.append(descriptor + part)
    return payloads


_PICTURE_GROUPS = {
    1: ((0, 0, (1,)),),
    2: ((0, 0, (2,)), (1, 1, (1,))),
    3: ((0, 0, (4,)), (2, 1, (1,)), (1, 1, (2,)), (2, 0, (1, 2))),
}
"""Temporal layer, whether it can be entered there, distances to the frames referred to."""


def _picture_group(marks: Marks) -> bytes:
    """RFC 9628 section 4.2.1."""
    images = _PICTURE_GROUPS[marks.layers]
    group = bytes([len(images)])
    for temporal, switch, distances in images:
        group += bytes([temporal << 5 | switch << 4 | len(distances) << 2, *distances])
    return group


def _h264(wire: bytes, _marks: Marks) -> list[bytes]:
    payloads: list[bytes] = H264Encoder._packetize(split_annexb(wire))  # noqa: SLF001
    return payloads


def _av1(wire: bytes, _marks: Marks) -> list[bytes]:
    """Z Y W N, then OBUs without sizes; the last one over as many packets as it takes."""
    units = [(kind, _without_size(unit)) for kind, unit, _ in walk_obus(wire)]
    units = [(kind, unit) for kind, unit in units if kind != _OBU_TEMPORAL_DELIMITER]
    new_sequence = units[0][0] == OBU_SEQUENCE_HEADER
    *before, (_, last) = units
    head = b"".join(_leb128(len(unit)) + unit for _, unit in before)
    parts = _cut(last, PACKET_BYTES)
    payloads = []
    for index, part in enumerate(parts):
        continues, more = index > 0, index < len(parts) - 1
        if index == 0:
            flags = more << 6 | len(units) << 4 | new_sequence << 3
            payloads.append(bytes([flags]) + head + part)
        else:
            payloads.append(bytes([continues << 7 | more << 6 | 1 << 4]) + part)
    return payloads


def _without_size(unit: bytes) -> bytes:
    if not unit[0] & 2:
        return unit
    at = 1 + (unit[0] >> 2 & 1)
    header = bytes([unit[0] & ~2]) + unit[1:at]
    while unit[at] & 0x80:
        at += 1
    return header + unit[at + 1 :]


def _leb128(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


_PACKETISE = {"vp8": _vp8, "vp9": _vp9, "h264": _h264, "av1": _av1}


def packetise(codec: str, wire: bytes, marks: Marks) -> list[bytes]:
    """The payloads of one encrypted frame."""
    return _PACKETISE[codec](wire, marks)


def _join_vp8(payloads: list[bytes]) -> tuple[bytes, Marks]:
    parts = [VpxPayloadDescriptor.parse(payload) for payload in payloads]
    heads = [head for head, _ in parts]
    _check([bool(head.partition_start and head.partition_id == 0) for head in heads])
    ids = {(head.picture_id, head.tl0picidx, head.tid) for head in heads}
    if len(ids) != 1:
        raise PacketError("packets of two frames in one frame")
    wire = b"".join(part for _, part in parts)
    (identity,) = ids
    picture_id, tl0, tid = identity
    temporal, sync = tid or (0, 0)
    layered = tid is not None
    return wire, Marks(
        not wire[0] & 1, picture_id or 0, tl0 or 0, temporal, bool(sync), 1 + layered
    )


def _join_vp9(payloads: list[bytes]) -> tuple[bytes, Marks]:
    heads = [_vp9_head(payload) for payload in payloads]
    _check([bool(payload[0] & 8) for payload in payloads])
    _check([bool(payload[0] & 4) for payload in reversed(payloads)])
    if len({marks for marks, _ in heads}) != 1:
        raise PacketError("packets of two frames in one frame")
    parts = [payload[at:] for payload, (_, at) in zip(payloads, heads, strict=True)]
    return b"".join(parts), heads[0][0]


def _vp9_head(payload: bytes) -> tuple[Marks, int]:
    flags, image = struct.unpack_from("!BH", payload)
    at = 3
    temporal = sync = tl0 = 0
    if flags & 0x20:
        temporal, sync, tl0 = payload[at] >> 5, payload[at] >> 4 & 1, payload[at + 1]
        at += 2
    if flags & 2:
        count = payload[at + 1]
        at += 2
        for _ in range(count):
            at += 1 + (payload[at] >> 2 & 3)
    layered = bool(flags & 0x20)
    is_key = not flags & 0x40
    return Marks(is_key, image & 0x7FFF, tl0, temporal, bool(sync), 1 + layered), at


def _join_h264(payloads: list[bytes]) -> tuple[bytes, Marks]:
    parts = [H264PayloadDescriptor.parse(payload) for payload in payloads]
    _check([parts[0][0].first_fragment])
    wire = b"".join(part for _, part in parts)
    return wire, Marks(is_key=any(unit[0] & 31 == NAL_IDR for unit in split_annexb(wire)))


def _join_av1(payloads: list[bytes]) -> tuple[bytes, Marks]:
    """As receivers do it: the frame's OBUs get their sizes back."""
    units: list[bytes] = []
    open_end = False
    for payload in payloads:
        elements = _av1_elements(payload)
        if bool(payload[0] & 0x80) != open_end:
            raise PacketError("an OBU without its other part")
        if open_end:
            units[-1] += elements.pop(0)
        units += elements
        open_end = bool(payload[0] & 0x40)
    if open_end:
        raise PacketError("an OBU without its end")
    sized = [bytes([unit[0] | 2]) + _leb128(len(unit) - 1) + unit[1:] for unit in units]
    return b"".join(sized), Marks(is_key=bool(payloads[0][0] & 8))


def _av1_elements(payload: bytes) -> list[bytes]:
    count, at = payload[0] >> 4 & 3, 1
    elements: list[bytes] = []
    while at < len(payload):
        size = len(payload) - at
        if not count or len(elements) < count - 1:
            size, shift = 0, 0
            while True:
                size |= (payload[at] & 0x7F) << shift
                shift += 7
                at += 1
                if not payload[at - 1] & 0x80:
                    break
        elements.append(payload[at : at + size])
        at += size
    return elements


_JOIN = {"vp8": _join_vp8, "vp9": _join_vp9, "h264": _join_h264, "av1": _join_av1}


def join(codec: str, payloads: list[bytes]) -> tuple[bytes, Marks]:
    """The encrypted frame of its packets' payloads. Errors: PacketError."""
    try:
        return _JOIN[codec](payloads)
    except (IndexError, struct.error, ValueError) as error:
        raise PacketError(f"not a frame: {error}") from error


def _check(firsts: list[bool]) -> None:
    if not firsts[0] or any(firsts[1:]):
        raise PacketError("a frame does not begin or end where its packets say")
