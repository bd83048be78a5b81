"""VP9 and AV1 between packets, encrypted frames and decoders; pure.

An image has a frame for each spatial layer, and each of them is encrypted by itself (docs/e2ee.md
section 4). Packets say where a frame begins and ends: RFC 9628 for VP9, and the specification of
RTP for AV1 (https://aomediacodec.github.io/av1-rtp-spec/).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sealroute_client.e2ee.bitstream import OBU_FRAME, OBU_SEQUENCE_HEADER, FormatError, walk_obus

MAX_LAYERS: Final = 5
"""Of one image: more than any encoder of a browser makes."""
_OBU_FRAME_HEADER: Final = 3
_NO_MEDIA: Final = (2, 8, 15)
"""Temporal delimiters, which containers have by themselves, tile lists and padding."""
_HAS_EXTENSION, _HAS_SIZE = 0x04, 0x02
_FRAME_MARKER: Final = 2
_LAST_SIZE: Final = 7
"""Bits of the largest number that a LEB128 byte holds."""


def frames(codec: str, payloads: Sequence[bytes]) -> tuple[bytes, ...]:
    """The frames that the packets of one timestamp carry, the lowest layer first. Errors:
    FormatError for what is no whole image."""
    found = tuple(_FRAMES[codec](payloads))
    if not 0 < len(found) <= MAX_LAYERS:
        raise FormatError("no image, or one of too many layers")
    return found


def join(codec: str, layers: Sequence[bytes]) -> bytes:
    """The image as decoders and containers take it. Errors: FormatError."""
    if codec == "vp9":
        return _superframe(layers)
    return b"".join(_sized(obu) for layer in layers for obu in _media_obus(layer))


def is_key_frame(codec: str, image: bytes) -> bool:
    try:
        return _KEYS[codec](image)
    except FormatError:
        return False


# --- VP9 ---------------------------------------------------------------------------------


def _vp9_frames(payloads: Iterable[bytes]) -> Iterator[bytes]:
    current: bytearray | None = None
    for payload in payloads:
        descriptor = _vp9_descriptor(payload)
        if descriptor.begins == (current is not None):
            raise FormatError("a frame of VP9 has no beginning, or no end")
        current = current or bytearray()
        current += payload[descriptor.length :]
        if descriptor.ends:
            yield bytes(current)
            current = None
    if current is not None:
        raise FormatError("a frame of VP9 has no end")


@dataclass(frozen=True, slots=True)
class _Vp9Descriptor:
    length: int
    begins: bool
    ends: bool


class _Bytes:
    """Reads one by one. Errors: FormatError at the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self) -> int:
        if self.at >= len(self._data):
            raise FormatError("a descriptor of VP9 is cut short")
        self.at += 1
        return self._data[self.at - 1]

    def skip(self, count: int) -> None:
        for _ in range(count):
            self.take()


def _vp9_descriptor(payload: bytes) -> _Vp9Descriptor:
    """RFC 9628 section 4.2: flags `I P L F B E V Z`."""
    read = _Bytes(payload)
    flags = read.take()
    has_number, is_predicted, has_layer, is_flexible = (flags & bit for bit in (128, 64, 32, 16))
    if has_number and read.take() & 0x80:
        read.take()
    if has_layer:
        read.skip(1 if is_flexible else 2)
    if is_flexible and is_predicted:
        for _ in range(3):
            if not read.take() & 1:
                break
    if flags & 2:
        _skip_structure(read)
    return _Vp9Descriptor(read.at, bool(flags & 8), bool(flags & 4))


def _skip_structure(read: _Bytes) -> None:
    """`N_S(3) Y G`, a size for each spatial layer, and the images of a group."""
    head = read.take()
    if head & 0x10:
        read.skip(4 * ((head >> 5) + 1))
    if head & 0x08:
        for _ in range(read.take()):
            read.skip(read.take() >> 2 & 3)


def _superframe(layers: Sequence[bytes]) -> bytes:
    """Annex B of the VP9 bitstream specification."""
    if len(layers) == 1:
        return layers[0]
    marker = bytes([0xC0 | 3 << 3 | len(layers) - 1])
    sizes = b"".join(len(layer).to_bytes(4, "little") for layer in layers)
    return b"".join(layers) + marker + sizes + marker


def _is_vp9_key(image: bytes) -> bool:
    """The uncompressed header of the lowest layer (VP9 bitstream specification section 6.2)."""
    if not image or image[0] >> 6 != _FRAME_MARKER:
        return False
    is_profile_3 = image[0] & 0x30 == 0x30
    shown, kind = (0x04, 0x02) if is_profile_3 else (0x08, 0x04)
    return not image[0] & (shown | kind)


# --- AV1 ---------------------------------------------------------------------------------


def _av1_frames(payloads: Iterable[bytes]) -> Iterator[bytes]:
    """What stands before a frame, as a sequence header, belongs to it."""
    before = b""
    for obu in _whole_obus(payloads):
        kind = _kind(obu)
        if kind not in _NO_MEDIA:
            before += _sized(obu)
        if kind == OBU_FRAME:
            yield before
            before = b""
    if before:
        yield before


def _whole_obus(payloads: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for payload in payloads:
        if not payload:
            raise FormatError("a packet of AV1 without its header")
        continues, goes_on = payload[0] & 0x80, payload[0] & 0x40
        if bool(continues) != bool(rest):
            raise FormatError("an OBU has no beginning, or no end")
        elements = list(_elements(payload))
        for number, element in enumerate(elements):
            whole, rest = rest + element, b""
            if goes_on and number == len(elements) - 1:
                rest = whole
            else:
                yield whole
    if rest:
        raise FormatError("an OBU has no end")


def _elements(payload: bytes) -> Iterator[bytes]:
    """`Z Y W(2) N`: W is their number; the last one of so many has no length."""
    count, at, number = payload[0] >> 4 & 3, 1, 0
    while at < len(payload):
        number += 1
        if number == count:
            size = len(payload) - at
        else:
            size, at = _leb128(payload, at)
        if size > len(payload) - at:
            raise FormatError("an OBU is cut short")
        yield payload[at : at + size]
        at += size
    if number == 0 or (count and number != count):
        raise FormatError("a packet of AV1 has not the OBUs that it says")


def _media_obus(data: bytes) -> Iterator[bytes]:
    return (obu for kind, obu, _ in walk_obus(data) if kind not in _NO_MEDIA)


def _kind(obu: bytes) -> int:
    if not obu:
        raise FormatError("an OBU without a header")
    return obu[0] >> 3 & 0x0F


def _sized(obu: bytes) -> bytes:
    """With a size field, as in files."""
    if not obu:
        raise FormatError("an OBU without a header")
    if obu[0] & _HAS_SIZE:
        return obu
    head = 2 if obu[0] & _HAS_EXTENSION else 1
    if len(obu) < head:
        raise FormatError("an OBU without the header that it announces")
    return bytes([obu[0] | _HAS_SIZE]) + obu[1:head] + _as_leb128(len(obu) - head) + obu[head:]


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 4 * _LAST_SIZE, _LAST_SIZE):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
    raise FormatError("a length of AV1 is none")


def _as_leb128(value: int) -> bytes:
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= _LAST_SIZE
    made.append(value)
    return bytes(made)


def _is_av1_key(image: bytes) -> bool:
    """With the sequence that it needs, and a new frame of type KEY (section 5.9.2)."""
    has_sequence = False
    for kind, _, body in walk_obus(image):
        if kind == OBU_SEQUENCE_HEADER:
            has_sequence = True
        elif kind in (OBU_FRAME, _OBU_FRAME_HEADER):
            return has_sequence and bool(body) and not body[0] & 0xE0
    return False


_FRAMES: Final = {"vp9": _vp9_frames, "av1": _av1_frames}
_KEYS: Final = {"vp9": _is_vp9_key, "av1": _is_av1_key}
CODECS: Final = tuple(_FRAMES)
