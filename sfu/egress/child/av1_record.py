"""The parameters of AV1 for a file's header: AV1CodecConfigurationRecord (AV1-ISOBMFF section
2.3.3), read from the sequence header (AV1 sections 5.5.1 to 5.5.5); pure."""

from dataclasses import dataclass

from sfu.egress.child.bitstream import Bits, leb128, obus

_SEQUENCE_HEADER = 1
_WITH_SIZE = 0x02
_MAX_HEADER_BYTES = 1_024
_SRGB = (1, 13, 0)
"""BT.709 primaries, the transfer function of sRGB, no matrix: always 4:4:4."""
_UNSPECIFIED = (2, 2, 2)
_PROFILES = 3


@dataclass(frozen=True, slots=True)
class _Color:
    high: int
    twelve: int = 0
    monochrome: int = 0
    across: int = 1
    down: int = 1
    position: int = 0


def av1_record(key_frame: bytes) -> bytes:
    """Errors: `ValueError` for a key frame without a sequence header that can be read."""
    content = _sequence(key_frame)
    bits = Bits(content)
    profile = bits.take(3)
    if profile >= _PROFILES:
        raise ValueError("the key frame has a profile that AV1 does not have")
    bits.take(1)
    reduced = bits.take(1)
    level, tier = (bits.take(5), 0) if reduced else _operating_points(bits)
    _size(bits, reduced)
    _skip_tools(bits, reduced)
    color = _color(bits, profile)
    flags = color.high << 6 | color.twelve << 5 | color.monochrome << 4
    flags |= color.across << 3 | color.down << 2 | color.position
    record = bytes([0x81, profile << 5 | level, tier << 7 | flags, 0])
    header = bytes([_SEQUENCE_HEADER << 3 | _WITH_SIZE])
    return record + header + leb128(len(content)) + content


def av1_size(key_frame: bytes) -> tuple[int, int]:
    """Width and height of the largest frames. Errors: `ValueError`."""
    bits = Bits(_sequence(key_frame))
    bits.take(4)
    reduced = bits.take(1)
    if reduced:
        bits.take(5)
    else:
        _operating_points(bits)
    return _size(bits, reduced)


def _sequence(key_frame: bytes) -> bytes:
    content = next((body for kind, body in obus(key_frame) if kind == _SEQUENCE_HEADER), b"")
    if not content or len(content) > _MAX_HEADER_BYTES:
        raise ValueError("the key frame has no parameters")
    return content


def _operating_points(bits: Bits) -> tuple[int, int]:
    """Level and tier of the first one; the rest is skipped."""
    delay_bits = None
    if bits.take(1):  # times
        bits.take(64)
        if bits.take(1):
            bits.exp_golomb()
        if bits.take(1):  # a decoder's model
            delay_bits = bits.take(5) + 1
            bits.take(42)
    has_delay = bits.take(1)
    found = []
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        level = bits.take(5)
        found.append((level, bits.take(1) if level > 7 else 0))
        if delay_bits is not None and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if has_delay and bits.take(1):
            bits.take(4)
    return found[0]


def _size(bits: Bits, reduced: int) -> tuple[int, int]:
    across, down = bits.take(4) + 1, bits.take(4) + 1
    size = bits.take(across) + 1, bits.take(down) + 1
    if not reduced and bits.take(1):
        bits.take(7)  # numbers of frames
    return size


def _skip_tools(bits: Bits, reduced: int) -> None:
    bits.take(3)
    if not reduced:
        bits.take(4)
        has_order = bits.take(1)
        if has_order:
            bits.take(2)
        chooses_content = bits.take(1)
        if (chooses_content or bits.take(1)) and not bits.take(1):
            bits.take(1)
        if has_order:
            bits.take(3)
    bits.take(3)


def _color(bits: Bits, profile: int) -> _Color:
    high = bits.take(1)
    twelve = bits.take(1) if profile == 2 and high else 0
    monochrome = 0 if profile == 1 else bits.take(1)
    described = (bits.take(8), bits.take(8), bits.take(8)) if bits.take(1) else _UNSPECIFIED
    if monochrome:
        return _Color(high, twelve, monochrome)
    if described == _SRGB:
        return _Color(high, twelve, across=0, down=0)
    bits.take(1)
    across, down = _subsampling(bits, profile, twelve)
    return _Color(high, twelve, 0, across, down, bits.take(2) if across and down else 0)


def _subsampling(bits: Bits, profile: int, twelve: int) -> tuple[int, int]:
    if profile < 2:
        return (1, 1) if profile == 0 else (0, 0)
    if not twelve:
        return 1, 0
    across = bits.take(1)
    return across, bits.take(1) if across else 0
