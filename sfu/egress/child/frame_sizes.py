"""Width and height of what a key frame shows, read from its parameters; pure."""

from itertools import islice

from sfu.egress.child.av1_record import av1_size
from sfu.egress.child.bitstream import Bits, annex_b, unescaped
from sfu.egress.child.h264_record import HAS_CHROMA

_SPS = 7
_MAX_UNITS = 64
_MAX_CYCLE = 255
_VP9_HEADER_BYTES = 16
_VP9_SYNC_CODE = 0x49_8342
_VP9_SRGB = 7
_VP8_START = b"\x9d\x01\x2a"


def size_of(codec: str, key_frame: bytes) -> tuple[int, int]:
    """(0, 0) where the frame does not say it."""
    try:
        return _SIZES[codec](key_frame)
    except (KeyError, ValueError):
        return 0, 0


def _vp8(frame: bytes) -> tuple[int, int]:
    """RFC 6386 section 9.1."""
    if len(frame) < 10 or frame[3:6] != _VP8_START:
        raise ValueError("no key frame")
    width, height = (int.from_bytes(frame[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    return width, height


def _h264(frame: bytes) -> tuple[int, int]:
    """ITU-T H.264 section 7.3.2.1.1."""
    for unit in islice(annex_b(frame), _MAX_UNITS):
        if unit[0] & 0x1F == _SPS:
            return _of_parameters(Bits(unescaped(unit)[1:]))
    raise ValueError("the key frame has no parameters")


def _of_parameters(bits: Bits) -> tuple[int, int]:
    profile = bits.take(8)
    bits.take(16)
    bits.exp_golomb()
    chroma = 1
    if profile in HAS_CHROMA:
        chroma = _skip_chroma(bits)
    bits.exp_golomb()
    _skip_order(bits)
    bits.exp_golomb()
    bits.take(1)
    width, map_units = 16 * (bits.exp_golomb() + 1), bits.exp_golomb() + 1
    frames_only = bits.take(1)
    if not frames_only:
        bits.take(1)
    bits.take(1)
    height = 16 * map_units * (2 - frames_only)
    if bits.take(1):
        left, right, top, bottom = (bits.exp_golomb() for _ in range(4))
        across, down = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
        width -= across * (left + right)
        height -= down * (2 - frames_only) * (top + bottom)
    return max(0, width), max(0, height)


def _skip_chroma(bits: Bits) -> int:
    chroma = bits.exp_golomb()
    if chroma == 3:
        bits.take(1)
    bits.exp_golomb()
    bits.exp_golomb()
    bits.take(1)
    if bits.take(1):
        raise ValueError("scaling lists are of no real-time encoder")
    return chroma


def _skip_order(bits: Bits) -> None:
    kind = bits.exp_golomb()
    if kind == 0:
        bits.exp_golomb()
    elif kind == 1:
        bits.take(1)
        bits.exp_golomb()
        bits.exp_golomb()
        for _ in range(min(bits.exp_golomb(), _MAX_CYCLE)):
            bits.exp_golomb()


def _vp9(frame: bytes) -> tuple[int, int]:
    """Of the lowest layer: the uncompressed header (VP9 bitstream specification section 6.2)."""
    bits = Bits(frame[:_VP9_HEADER_BYTES])
    marker = bits.take(2)
    profile = bits.take(1) | bits.take(1) << 1
    if profile == 3:
        bits.take(1)
    # It shows no earlier frame, and is a key frame; two flags follow.
    if marker != 2 or bits.take(2) or bits.take(2 + 24) & 0xFFFFFF != _VP9_SYNC_CODE:
        raise ValueError("no key frame")
    if profile >= 2:
        bits.take(1)
    if bits.take(3) != _VP9_SRGB:
        bits.take(4 if profile & 1 else 1)
    elif profile & 1:
        bits.take(1)
    return bits.take(16) + 1, bits.take(16) + 1


_SIZES = {"vp8": _vp8, "h264": _h264, "vp9": _vp9, "av1": av1_size}
