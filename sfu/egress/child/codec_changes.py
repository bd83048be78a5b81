"""What of a key frame a file's header fixes; pure.

VP8 and VP9 may change their size within a file. The header of H.264 and AV1 has the parameters of
all that follows.
"""

from collections.abc import Callable

from sfu.egress.child.frames import Frame

_SPS = 7
_SEQUENCE_HEADER = 1
_MAX_UNITS = 64
"""Parameters stand in front; a frame with a thousand slices is not searched."""


def signature(frame: Frame) -> bytes:
    """Equal for key frames that may stand in the same file; empty where a frame has none."""
    find = _SIGNATURES.get(frame.codec)
    return b"" if find is None else find(frame.data)


def _h264(data: bytes) -> bytes:
    """The first sequence parameter set of Annex B."""
    at = 0
    for _ in range(_MAX_UNITS):
        start = data.find(b"\x00\x00\x01", at)
        if start < 0 or start + 3 >= len(data):
            return b""
        end = data.find(b"\x00\x00\x01", start + 3)
        if data[start + 3] & 0x1F == _SPS:
            return data[start + 3 : end if end >= 0 else len(data)].rstrip(b"\x00")
        if end < 0:
            return b""
        at = end
    return b""


def _av1(data: bytes) -> bytes:
    """The first sequence header; each unit has its size."""
    at = 0
    for _ in range(_MAX_UNITS):
        if at >= len(data):
            return b""
        kind, has_extension = data[at] >> 3 & 0x0F, data[at] & 4
        if not data[at] & 2:
            return b""
        at += 2 if has_extension else 1
        size, at = _leb128(data, at)
        if size is None:
            return b""
        if kind == _SEQUENCE_HEADER:
            return data[at : at + size]
        at += size
    return b""


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


_SIGNATURES: dict[str, Callable[[bytes], bytes]] = {"h264": _h264, "av1": _av1}
