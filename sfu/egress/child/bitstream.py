"""H.264 and AV1 as units and bits; pure. What cannot be read is a `ValueError`."""

from collections.abc import Iterator

_MAX_UNITS = 64
"""Parameters stand in front; a frame with a thousand slices is not searched."""
_MAX_EXP_GOLOMB_ZEROS = 31


class Bits:
    """Reads bits, the highest of a byte first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("the parameters are cut off")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def exp_golomb(self) -> int:
        """ITU-T H.264 section 9.1; `uvlc` of AV1."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > _MAX_EXP_GOLOMB_ZEROS:
                raise ValueError("a number of the parameters is too long")
        return (1 << zeros) - 1 + self.take(zeros)


def annex_b(data: bytes) -> Iterator[bytes]:
    """The units of H.264 between start codes."""
    start = data.find(b"\x00\x00\x01")
    while start >= 0:
        end = data.find(b"\x00\x00\x01", start + 3)
        # A unit never ends in a zero: it belongs to the start code of the next one.
        unit = data[start + 3 : end if end >= 0 else len(data)].rstrip(b"\x00")
        if unit:
            yield unit
        start = end


def unescaped(unit: bytes) -> bytes:
    """Without the bytes that keep start codes out of a unit."""
    return unit.replace(b"\x00\x00\x03", b"\x00\x00")


def obus(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Types and contents of the first units of AV1, up to one without a size."""
    at = 0
    for _ in range(_MAX_UNITS):
        if at >= len(data) or not data[at] & 2:
            return
        kind, has_extension = data[at] >> 3 & 0x0F, data[at] & 4
        size, at = _leb128(data, at + (2 if has_extension else 1))
        if size is None:
            return
        yield kind, data[at : at + size]
        at += size


def _leb128(data: bytes, at: int) -> tuple[int | None, int]:
    value = 0
    for shift in range(0, 56, 7):
        if at >= len(data):
            return None, at
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    return None, at


def leb128(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
