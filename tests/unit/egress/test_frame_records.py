"""Records of whole frames: what is written is what is read, and nothing else is."""

import fractions
import socket

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.egress import frame_records as records
from sfu.egress.child.frame_reader import FrameReader
from sfu.egress.child.frame_sizes import size_of
from tests.unit.egress.media import video

VP8_KEY = b"\x10\x02\x00\x9d\x01\x2a" + (640).to_bytes(2, "little") + (480).to_bytes(2, "little")
FRAME = records.FrameRecord(7, "vp8", True, 1_000_000, 33_000, VP8_KEY + bytes(100_000))


def read(*datagrams: bytes) -> list[records.Record]:
    assembler = records.FrameAssembler()
    found = [assembler.take(one) for one in datagrams]
    return [one for one in found if one is not None]


def test_a_long_frame_is_cut_and_whole_again() -> None:
    cut = list(records.frame_datagrams(FRAME, 5))
    assert len(cut) == 4
    assert all(len(one) <= records.MAX_RECORD_BYTES for one in cut)
    assert read(*cut) == [FRAME]


def test_the_other_records_are_what_they_were() -> None:
    missed = records.Missed(7, -5, 90, "secret")
    said = [
        records.missed_datagram(missed, 1),
        records.event_datagram(b"{}", 2),
        records.end_datagram(3),
    ]
    assert read(*said) == [missed, records.Event(b"{}", 2), records.Ended(3)]


def test_a_loss_of_an_unknown_reason_is_refused() -> None:
    said = bytearray(records.missed_datagram(records.Missed(7, 1, 2), 1))
    said[-1] = 2
    with pytest.raises(ValueError, match="unknown reason"):
        read(bytes(said))


def test_a_request_for_a_key_frame_names_its_track() -> None:
    assert records.wanted_key_frame(records.key_frame_datagram(9, 1)) == 9
    assert records.wanted_key_frame(records.end_datagram(1)) is None
    assert records.wanted_key_frame(b"") is None


def test_a_frame_without_an_end_and_one_that_is_too_long_are_refused() -> None:
    first, *_ = records.frame_datagrams(FRAME, 5)
    with pytest.raises(ValueError, match="no end"):
        read(first, records.end_datagram(1))
    with pytest.raises(ValueError, match="too long"):
        read(*[first, *[first] * 300])
    long = records.FrameRecord(7, "vp8", True, 0, 0, bytes(records.MAX_FRAME_BYTES + 1))
    with pytest.raises(ValueError, match="too long"):
        list(records.frame_datagrams(long, 0))


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_no_bytes_are_more_than_a_value_error(datagrams) -> None:
    assembler = records.FrameAssembler()
    for one in datagrams:
        try:
            assembler.take(one)
        except ValueError:
            return


def test_sizes_are_read_from_key_frames() -> None:
    assert size_of("vp8", VP8_KEY) == (640, 480)
    assert size_of("vp8", b"") == (0, 0)
    assert size_of("h264", b"\x00\x00\x01\x67") == (0, 0)
    assert size_of("vp8", VP8_KEY[:9]) == (0, 0)
    assert size_of("opus", b"x") == (0, 0)


@pytest.mark.parametrize("codec", ["vp8", "vp9", "av1"])
@pytest.mark.parametrize("size", [(64, 48), (162, 98)])
def test_sizes_are_those_of_the_frames(codec, size) -> None:
    (_, key_frame), *_ = video(codec, 2, size)
    assert size_of(codec, key_frame) == size
    for end in range(0, min(40, len(key_frame)), 3):
        size_of(codec, key_frame[:end])


@pytest.mark.parametrize("size", [(640, 480), (642, 478), (1920, 1080)])
@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_sizes_of_h264_are_those_of_its_frames(size, profile) -> None:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.time_base = "yuv420p", fractions.Fraction(1, 30)
    encoder.options = {"profile": profile, "preset": "ultrafast", "tune": "zerolatency"}
    (packet,) = encoder.encode(av.VideoFrame(*size, "yuv420p"))
    assert size_of("h264", bytes(packet)) == size


@given(st.binary(max_size=60))
def test_no_parameters_are_more_than_an_unknown_size(junk) -> None:
    size_of("h264", b"\x00\x00\x01\x67" + junk)


def test_a_reader_gives_items_as_that_of_packets_does() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader = FrameReader(theirs.fileno())
    short = records.FrameRecord(7, "vp8", True, 1_000_000, 33_000, VP8_KEY)
    audio = records.FrameRecord(8, "opus", False, 1_000_001, 20_000, b"a")
    for frame in (short, audio):
        for datagram in records.frame_datagrams(frame, 5):
            ours.send(datagram)
    ours.send(records.missed_datagram(records.Missed(7, 1, 2, "secret"), 5))
    ours.send(records.event_datagram(b"{}", 6))
    ours.send(records.end_datagram(7))
    assert reader.read(0) == [
        ("frame", 7, "video", "vp8", True, 1_000_000, 33_000, VP8_KEY, 0, 640, 480, None),
        ("frame", 8, "audio", "opus", False, 1_000_001, 20_000, b"a", 0, 0, 0, None),
        ("lost", 7, 1, 1, 2, "secret"),
        ("json", 6, b"{}"),
        ("end", 7),
    ]
    assert reader.read(0) == reader.finish() == []
    added = b'{"event": "streamAdded", "stream": "s", "tracks": ['
    added += b'{"ssrc": 7, "kind": "video", "codec": "vp8"}]}'
    reader.handle_json(added)
    assert records.wanted_key_frame(ours.recv(100)) == 7
    reader.handle_json(b"no json")
    for one in (ours, theirs, reader):
        one.close()


def test_a_reader_whose_other_end_is_gone_says_so_once() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader = FrameReader(theirs.fileno())
    ours.close()
    (item,) = reader.read(0)
    assert item[0] == "end"
    assert reader.read(0) == []
    theirs.close()
    reader.close()
