"""What of a key frame a file's header fixes; pure.

VP8 and VP9 may change their size within a file. The header of H.264 and AV1 has the parameters of
all that follows.
"""

from collections.abc import Callable
from itertools import islice

from sfu.egress.child.bitstream import annex_b, obus
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
    units = islice(annex_b(data), _MAX_UNITS)
    return next((unit for unit in units if unit[0] & 0x1F == _SPS), b"")


def _av1(data: bytes) -> bytes:
    """The first sequence header; each unit has its size."""
    return next((content for kind, content in obus(data) if kind == _SEQUENCE_HEADER), b"")


_SIGNATURES: dict[str, Callable[[bytes], bytes]] = {"h264": _h264, "av1": _av1}
