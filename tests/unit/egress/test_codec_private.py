"""What a file's header says of its video: as FFmpeg would write it, and from any bytes."""

import io
import subprocess
from fractions import Fraction

import av
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sfu.egress.child.av1_record import av1_record
from sfu.egress.child.bitstream import Bits
from sfu.egress.child.codec_private import private_of
from sfu.egress.child.matroska import TrackFormat
from sfu.egress.child.part import Part
from tests.unit.egress.media import OPTIONS, US, VIDEO_US, read_back, video

LIMIT = 20_000
FORMATS = {
    "h264": [
        *[("libx264", name, "yuv420p", 8) for name in ("baseline", "main", "high")],
        ("libx264", "high10", "yuv420p10le", 10),
        ("libx264", "high422", "yuv422p", 8),
        ("libx264", "high422", "yuv422p10le", 10),
        ("libx264", "high444", "yuv444p", 8),
    ],
    "av1": [
        ("libsvtav1", "main", "yuv420p", 8),
        ("libsvtav1", "main", "yuv420p10le", 10),
        ("libaom-av1", "main", "gray", 8),
        ("libaom-av1", "high", "yuv444p", 8),
        ("libaom-av1", "professional", "yuv422p", 8),
        ("libaom-av1", "professional", "yuv420p12le", 12),
        ("libaom-av1", "professional", "yuv444p12le", 12),
    ],
}
CASES = [(codec, *one) for codec, some in FORMATS.items() for one in some]


def encoded(folder, codec, encoder, profile, pixels, frames=6):
    if encoder == "libaom-av1":
        return encoded_by_libaom(folder / "a.ivf", pixels, frames)
    context = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = 64, 48, pixels
    context.time_base, context.framerate, context.gop_size = US, 30, 3
    context.options = OPTIONS[codec] | ({"profile": profile} if codec == "h264" else {})
    packets = []
    for number in range(frames):
        frame = av.VideoFrame(64, 48, "yuv420p").reformat(format=pixels)
        frame.pts, frame.time_base = number * VIDEO_US, US
        packets += context.encode(frame)
    packets += context.encode(None)
    assert len(packets) == frames
    return [(packet.is_keyframe, bytes(packet)) for packet in packets]


def encoded_by_libaom(path, pixels, frames):
    """PyAV's wheel has no libaom."""
    asked = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=30"]
    asked += ["-frames:v", str(frames), "-pix_fmt", pixels, "-c:v", "libaom-av1", "-g", "3"]
    asked += ["-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", str(path)]
    subprocess.run(asked, check=True)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux() if packet.size]
        assert len(packets) == frames
        return [(packet.is_keyframe, bytes(packet)) for packet in packets]


def of_ffmpeg(codec, data):
    """What FFmpeg's muxer and demuxer make of the same key frame."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_mux_stream(codec, width=64, height=48)
        packet = av.Packet(data)
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
        packet.time_base = Fraction(1, 1_000)
        container.mux(packet)
    file.seek(0)
    with av.open(file, "r", format="matroska") as container:
        return container.streams.video[0].codec_context.extradata


@pytest.mark.parametrize(("codec", "encoder", "profile", "pixels", "depth"), CASES)
def test_the_parameters_are_those_that_ffmpeg_writes_and_the_file_decodes(
    tmp_path, codec, encoder, profile, pixels, depth
):
    frames = encoded(tmp_path, codec, encoder, profile, pixels)
    private = private_of(codec, frames[0][1])
    assert private == of_ffmpeg(codec, frames[0][1])
    path = tmp_path / ("a.mkv" if codec == "h264" else "a.webm")
    part = Part(path, [TrackFormat("video", codec, 64, 48, private)])
    for number, (key, data) in enumerate(frames):
        part.write("video", data, at_us=number * VIDEO_US, duration_us=VIDEO_US, key=key)
    part.close()
    assert read_back(path).decoded == {"video": len(frames)}
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).format.components[0].bits == depth


@pytest.mark.parametrize("codec", ["h264", "av1"])
@pytest.mark.parametrize("data", [b"", b"\x00\x00\x01\x67", b"\xff" * 64, b"\x0a\x01\x00"])
def test_key_frames_that_cannot_be_read_have_no_header(codec, data):
    with pytest.raises(ValueError, match=r"parameters|key frame"):
        private_of(codec, data)


@pytest.mark.parametrize("codec", ["h264", "av1"])
@given(st.data())
def test_whatever_a_key_frame_holds_it_has_a_short_header_or_none(codec, data):
    whole = bytearray(video(codec, 1)[0][1][:200])
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=8)):
        whole[at] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        assert 4 < len(private_of(codec, cut)) < LIMIT
    except ValueError:
        return


@given(st.binary(max_size=100))
@example(b"\xff" * 100)
@example(bytes(100))
def test_any_sequence_header_is_read_or_refused(content):
    unit = bytes([0x0A, len(content)]) + content
    try:
        record = av1_record(unit)
    except ValueError:
        return
    assert record[4:] == unit


def test_many_parameter_sets_are_refused():
    many = b"".join(b"\0\0\1\x67\x42\0\x0a" + bytes([at]) + b"\x80" for at in range(1, 60))
    for data in (many + b"\0\0\1\x68\x80", b"\0\0\1\x67\x42\0\x0a" + b"\x55" * LIMIT + many):
        with pytest.raises(ValueError, match="parameters"):
            private_of("h264", data)


def test_parameters_behind_the_first_slice_are_those_of_no_header():
    data = b"\0\0\1\x65\x88" + b"\0\0\1\x67\x42\0\x0a\x80" + b"\0\0\1\x68\x80"
    with pytest.raises(ValueError, match="no parameters"):
        private_of("h264", data)


def test_numbers_of_bits_are_read_as_the_standard_has_them():
    bits = Bits(bytes([0b1_010_011_0, 0b0100_0000]))
    assert [bits.exp_golomb() for _ in range(4)] == [0, 1, 2, 3]
    for data in (b"", bytes(8)):
        with pytest.raises(ValueError, match="parameters"):
            Bits(data).exp_golomb()
