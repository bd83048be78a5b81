"""What FFmpeg makes of the first key frame for a file's header (avcC, av1C), and frames in the form
in which Matroska holds them."""

import io
from fractions import Fraction
from typing import Any

import av


def private_of(codec: str, data: bytes, size: tuple[int, int]) -> bytes:
    """Errors: `ValueError` for a frame that FFmpeg cannot read."""
    if codec not in ("h264", "av1"):
        return b""
    written = io.BytesIO()
    try:
        container: Any
        with av.open(written, "w", format="matroska") as container:
            stream = container.add_mux_stream(codec, width=size[0], height=size[1])
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
            packet.time_base = Fraction(1, 1_000)
            container.mux(packet)
        written.seek(0)
        with av.open(written, "r", format="matroska") as container:
            private: bytes | None = container.streams.video[0].codec_context.extradata
    except (av.FFmpegError, EOFError, IndexError, OSError) as cause:
        raise ValueError("the key frame cannot be read") from cause
    if not private:
        raise ValueError("the key frame has no parameters")
    return private


def in_matroska(codec: str, data: bytes) -> bytes:
    """H.264 with lengths in the place of start codes, AV1 without temporal delimiters."""
    if codec == "h264":
        return _with_lengths(data)
    if codec == "av1" and data[:2] == b"\x12\x00":
        return data[2:]
    return data


def _with_lengths(data: bytes) -> bytes:
    units = []
    start = data.find(b"\x00\x00\x01")
    while start >= 0:
        end = data.find(b"\x00\x00\x01", start + 3)
        # A unit never ends in a zero: it belongs to the start code of the next one.
        unit = data[start + 3 : end if end >= 0 else len(data)].rstrip(b"\x00")
        if unit:
            units.append(len(unit).to_bytes(4) + unit)
        start = end
    return b"".join(units)
