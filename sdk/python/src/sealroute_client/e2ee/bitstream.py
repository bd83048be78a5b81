"""The little of H.264 and AV1 syntax that the frame format needs. Peer-controlled input:
every function works in one pass and raises only FormatError."""

from collections.abc import Iterator
from typing import Final

START_CODE: Final = b"\x00\x00\x00\x01"
NAL_SLICE, NAL_IDR, NAL_SPS, NAL_PPS = 1, 5, 7, 8
OBU_SEQUENCE_HEADER: Final = 1
OBU_FRAME: Final = 6

_MAX_GOLOMB_ZEROS: Final = 16


class FormatError(ValueError):
    """Not a frame of this codec, or not of this format."""


def split_annexb(data: bytes) -> list[bytes]:
    """NAL units without start codes and without trailing zero bytes."""
    nals = []
    position = data.find(b"\x00\x00\x01")
    while position != -1:
        start = position + 3
        position = data.find(b"\x00\x00\x01", start)
        nal = data[start : len(data) if position == -1 else position].rstrip(b"\x00")
        if nal:
            nals.append(nal)
    return nals


def join_annexb(nals: list[bytes]) -> bytes:
    return b"".join(START_CODE + nal for nal in nals)


def add_emulation_prevention(data: bytes) -> bytes:
    """Inserts 03 so that no start code appears (H.264 section 7.4.1)."""
    if b"\x00\x00" not in data:
        return data
    output = bytearray()
    zeros = 0
    position = 0
    while position < len(data):
        if zeros == 0:
            # Jump to the next zero: payload is mostly random bytes.
            following = data.find(b"\x00", position)
            if following == -1:
                output += data[position:]
                break
            output += data[position:following]
            position = following
        byte = data[position]
        if zeros >= 2 and byte <= 3:
            output.append(3)
            zeros = 0
        output.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
        position += 1
    return bytes(output)


def remove_emulation_prevention(data: bytes) -> bytes:
    return data.replace(b"\x00\x00\x03", b"\x00\x00")


class BitReader:
    """Reads Exp-Golomb codes from the start of a NAL's payload."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._bits = len(data) * 8
        self.position = 0

    def _bit(self) -> int:
        if self.position >= self._bits:
            raise FormatError("cut short")
        self.position += 1
        return self._value >> (self._bits - self.position) & 1

    def unsigned(self) -> int:
        """ue(v), H.264 section 9.1."""
        zeros = 0
        while self._bit() == 0:
            zeros += 1
            if zeros > _MAX_GOLOMB_ZEROS:
                raise FormatError("number too large")
        value = 1
        for _ in range(zeros):
            value = value << 1 | self._bit()
        return value - 1


def slice_prefix(*, is_idr: bool, pps_id: int) -> bytes:
    """The start of a slice header: first_mb 0, slice type I or P, the pps id, 1 bits."""
    codes = "".join(_golomb(value) for value in (0, 7 if is_idr else 5, pps_id))
    codes += "1" * (-len(codes) % 8)
    return int(codes, 2).to_bytes(len(codes) // 8, "big")


def _golomb(value: int) -> str:
    binary = f"{value + 1:b}"
    return "0" * (len(binary) - 1) + binary


def slice_pps_id(nal: bytes) -> int:
    """The pps id of a slice NAL. Errors: FormatError."""
    reader = BitReader(remove_emulation_prevention(nal[1:25]))
    reader.unsigned()
    reader.unsigned()
    pps_id = reader.unsigned()
    if pps_id > 255:
        raise FormatError("pps id out of range")
    return pps_id


def after_slice_prefix(nal: bytes) -> bytes:
    """What follows the byte-aligned slice prefix, escapes removed. Errors: FormatError."""
    reader = BitReader(nal[1:25])
    for _ in range(3):
        reader.unsigned()
    return remove_emulation_prevention(nal[1 + (reader.position + 7) // 8 :])


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        if position + index >= len(data):
            break
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, position + index + 1
    raise FormatError("bad OBU size")


def walk_obus(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Type, whole OBU and its payload, one by one. Errors: FormatError."""
    position = 0
    while position < len(data):
        header = data[position]
        start = position
        position += 2 if header & 0x04 else 1
        if header & 0x80 or position > len(data):
            raise FormatError("bad OBU header")
        if header & 0x02:
            size, position = _leb128(data, position)
        else:
            size = len(data) - position
        end = position + size
        if end > len(data):
            raise FormatError("OBU cut short")
        yield header >> 3 & 0x0F, data[start:end], data[position:end]
        position = end
