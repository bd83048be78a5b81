"""The parameters of H.264 for a file's header: AVCDecoderConfigurationRecord (ISO/IEC 14496-15
section 5.3.3.1); pure."""

from itertools import islice

from sfu.egress.child.bitstream import Bits, annex_b, unescaped

_SLICES = range(1, 6)
_SPS, _PPS, _SPS_EXTENSION = 7, 8, 13
_MAX_UNITS = 64
_MAX_SETS = 31
"""What the record can count."""
_MAX_SETS_BYTES = 16_384
"""More is of no real-time encoder, and the header of a file is read at once."""
_WITHOUT_CHROMA = frozenset({66, 77, 88})
"""Baseline, Main and Extended: the record ends with the parameter sets."""
HAS_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""ITU-T H.264 section 7.3.2.1.1: profiles whose parameters name a chroma format."""


def h264_record(key_frame: bytes) -> bytes:
    """Errors: `ValueError` for a key frame without parameters."""
    sets: dict[int, list[bytes]] = {_SPS: [], _PPS: [], _SPS_EXTENSION: []}
    for unit in islice(annex_b(key_frame), _MAX_UNITS):
        kind = unit[0] & 0x1F
        if kind in _SLICES:
            break
        if kind in sets and unit not in sets[kind]:
            sets[kind].append(unit)
    _check(sets)
    profile, compatibility, level = sets[_SPS][0][1:4]
    record = bytes([1, profile, compatibility, level, 0xFF])  # lengths of four bytes
    record += bytes([0xE0 | len(sets[_SPS])]) + _listed(sets[_SPS])
    record += bytes([len(sets[_PPS])]) + _listed(sets[_PPS])
    if profile in _WITHOUT_CHROMA:
        return record
    chroma, luma_bits, chroma_bits = _chroma_of(sets[_SPS][0])
    record += bytes([0xFC | chroma, 0xF8 | luma_bits, 0xF8 | chroma_bits])
    return record + bytes([len(sets[_SPS_EXTENSION])]) + _listed(sets[_SPS_EXTENSION])


def _check(sets: dict[int, list[bytes]]) -> None:
    if not sets[_SPS] or not sets[_PPS] or len(sets[_SPS][0]) < 4:
        raise ValueError("the key frame has no parameters")
    size = sum(len(unit) for units in sets.values() for unit in units)
    if size > _MAX_SETS_BYTES or any(len(units) > _MAX_SETS for units in sets.values()):
        raise ValueError("the key frame has too many parameters")


def _listed(units: list[bytes]) -> bytes:
    return b"".join(len(unit).to_bytes(2) + unit for unit in units)


def _chroma_of(unit: bytes) -> tuple[int, int, int]:
    """The chroma format, and by how much the bits of luma and chroma exceed 8."""
    bits = Bits(unescaped(unit)[1:])
    profile = bits.take(8)
    bits.take(16)
    bits.exp_golomb()
    if profile not in HAS_CHROMA:
        return 1, 0, 0
    chroma = bits.exp_golomb()
    if chroma == 3:
        bits.take(1)
    luma_bits, chroma_bits = bits.exp_golomb(), bits.exp_golomb()
    if chroma > 3 or luma_bits > 6 or chroma_bits > 6:
        raise ValueError("the key frame has parameters that H.264 does not have")
    return chroma, luma_bits, chroma_bits
