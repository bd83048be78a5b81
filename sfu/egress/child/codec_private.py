"""What of the first key frame a file's header holds (avcC, av1C), and frames in the form in which
Matroska holds them; pure.

No decoder and no demuxer sees what a participant sent: only its parameters are read.
"""

from sfu.egress.child.av1_record import av1_record
from sfu.egress.child.bitstream import annex_b
from sfu.egress.child.h264_record import h264_record

_RECORDS = {"h264": h264_record, "av1": av1_record}


def private_of(codec: str, data: bytes) -> bytes:
    """Errors: `ValueError` for a key frame whose parameters cannot be read."""
    record = _RECORDS.get(codec)
    return b"" if record is None else record(data)


def in_matroska(codec: str, data: bytes) -> bytes:
    """H.264 with lengths in the place of start codes, AV1 without temporal delimiters."""
    if codec == "h264":
        return b"".join(len(unit).to_bytes(4) + unit for unit in annex_b(data))
    if codec == "av1" and data[:2] == b"\x12\x00":
        return data[2:]
    return data
