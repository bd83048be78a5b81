"""VP9 and AV1 between packets, encrypted frames and decoders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sealroute_client.e2ee import frames
from sealroute_client.e2ee.bitstream import FormatError
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.media import layered, receiving

from tests.unit.egress.media import video

NUMBERS = {"vp9": CodecId.VP9, "av1": CodecId.AV1}
PART = 20


def decoded(codec: str, images: list[bytes]) -> int:
    decoder = receiving._Decoder(codec)
    found = 0
    for number, data in enumerate(images):
        found += len(decoder.decode(type("Frame", (), {"data": data, "timestamp": number})))
    return found + len(decoder._codec.decode(None))


def vp9_packets(layers: list[bytes]) -> list[bytes]:
    """With an image id and layer indices, and the structure in the first one."""
    packets = []
    for spatial, frame in enumerate(layers):
        parts = [frame[at : at + PART] for at in range(0, len(frame), PART)]
        for number, part in enumerate(parts):
            is_first, is_last = number == 0, number == len(parts) - 1
            structure = bytes([0x38, 0, 160, 0, 96, 0, 200, 0, 120, 1, 0b00_0_0_10_00, 1, 2])
            has_structure = is_first and spatial == 0
            flags = 0xA0 | is_first << 3 | is_last << 2 | has_structure << 1
            head = bytes([flags, 0x81, 0x23, spatial << 1, 7])
            packets.append(head + (structure if has_structure else b"") + part)
    return packets


def obus_of(unit: bytes) -> list[bytes]:
    """Without their size fields, as packets have them."""
    return [
        bytes([obu[0] & ~2]) + body
        for _, obu, body in layered.walk_obus(unit)
        if obu[0] >> 3 & 15 != 2
    ]


def av1_packets(obus: list[bytes]) -> list[bytes]:
    """Each OBU in packets of its own, cut where it is long."""
    packets = []
    for obu in obus:
        parts = [obu[at : at + PART] for at in range(0, len(obu), PART)]
        for number, part in enumerate(parts):
            goes_on = number < len(parts) - 1
            packets.append(bytes([(number > 0) << 7 | goes_on << 6 | 1 << 4]) + part)
    return packets


def encrypt(codec: str, frame: bytes) -> bytes:
    return frames.encrypt(NUMBERS[codec], frame, lambda _metadata, plain: b"S" + plain[::-1])


def opened(codec: str, wire: bytes) -> bytes:
    split = frames.split(NUMBERS[codec], wire)
    assert split.sframe[:1] == b"S"
    return frames.join(NUMBERS[codec], split, split.sframe[:0:-1])


@pytest.mark.parametrize("codec", layered.CODECS)
def test_what_was_encrypted_and_cut_into_packets_is_decoded(codec) -> None:
    images = []
    units = [data for _, data in video(codec, 4)]
    for unit in units:
        wire = encrypt(codec, unit)
        payloads = vp9_packets([wire]) if codec == "vp9" else av1_packets(obus_of(wire))
        assert len(payloads) > 1
        (frame,) = layered.frames(codec, payloads)
        images.append(layered.join(codec, [opened(codec, frame)]))
    keys = [layered.is_key_frame(codec, image) for image in images]
    assert keys == [True, *[False] * (len(units) - 1)]
    assert decoded(codec, images) == len(units)


def test_each_layer_of_vp9_is_a_frame_and_a_image_is_a_superframe() -> None:
    layers = [b"a" * 1_000, b"b" * 2_000]
    assert layered.frames("vp9", vp9_packets(layers)) == tuple(layers)
    whole = layered.join("vp9", layers)
    marker = bytes([0xC9 | 0x10])
    sizes = (1_000).to_bytes(4, "little") + (2_000).to_bytes(4, "little")
    assert whole == b"".join(layers) + marker + sizes + marker
    assert layered.join("vp9", layers[:1]) == layers[0]


def test_each_layer_of_av1_is_a_frame_with_what_stands_before_it() -> None:
    sequence, first, second = b"\x08seq", b"\x30" + b"f" * 900, b"\x30" + b"g" * 900
    found = layered.frames("av1", av1_packets([b"\x10", sequence, first, second]))
    sized = [layered._sized(one) for one in (sequence, first, second)]
    assert found == (sized[0] + sized[1], sized[2])


@pytest.mark.parametrize("codec", layered.CODECS)
def test_a_packet_that_is_missing_makes_no_frame(codec) -> None:
    obus = [b"\x08seq", b"\x30" + b"f" * 3_000]
    whole = vp9_packets([b"f" * 3_000]) if codec == "vp9" else av1_packets(obus)
    cut = [whole[:-1], whole[1:] if codec == "vp9" else whole[:1] + whole[2:], []]
    for payloads in cut:
        with pytest.raises(FormatError):
            layered.frames(codec, payloads)


def test_an_obu_that_ends_within_its_header_is_a_format_error() -> None:
    with pytest.raises(FormatError):
        layered.frames("av1", [bytes.fromhex("0100052802000005")])


@given(st.sampled_from(layered.CODECS), st.lists(st.binary(max_size=40), max_size=8))
def test_no_payloads_are_more_than_a_format_error(codec, payloads) -> None:
    try:
        found = layered.frames(codec, payloads)
        layered.join(codec, found)
    except FormatError:
        return
    assert len(found) <= layered.MAX_LAYERS


@given(st.sampled_from(layered.CODECS), st.binary(max_size=60))
def test_no_bytes_are_more_than_no_key_frame(codec, data) -> None:
    layered.is_key_frame(codec, data)


@given(st.lists(st.binary(max_size=50)))
def test_packets_that_were_joined_are_apart_again(kept) -> None:
    joined = b"".join(len(one).to_bytes(2, "big") + one for one in kept)
    assert receiving.payloads(joined) == kept
