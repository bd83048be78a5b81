"""What comes from outside: messages of the server, media files, lines of the shell."""

import fractions
import itertools
import tracemalloc

import av
import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sealroute_client import MediaSourceError
from sealroute_client.bounds import is_bounded
from sealroute_client.cli import parser
from sealroute_client.codec import decode, encode
from sealroute_client.credentials import Credentials
from sealroute_client.media.sources import Playout, draw_pattern, open_media, read_counter


@given(st.binary(max_size=200))
def test_random_bytes_are_a_message_or_a_value_error(data) -> None:
    try:
        message = decode(data)
    except ValueError:
        return
    assert isinstance(message["t"], str)


CLAIM = 2**20
"""Members that an array claims to have, whatever follows."""
GREEDY = {
    "arrays that claim a million": b"\xdd" + CLAIM.to_bytes(4),
    "maps that claim a million": b"\xdf" + CLAIM.to_bytes(4),
    "arrays that claim thousands": b"\xdc\x40\x00",
    "empty arrays": b"\x90",
    "nested arrays": b"\x91",
    "empty maps": b"\x80",
    "empty texts": b"\xa0",
    "numbers": b"\xcb\x40\x00\x00\x00\x00\x00\x00\x01",
}


@pytest.mark.parametrize("greedy", GREEDY)
def test_a_message_costs_what_its_bytes_can_hold_and_not_what_they_claim(greedy) -> None:
    """Dicts and small objects of this language take some 70 bytes where the wire has one."""
    size = 2**17
    members = size // len(GREEDY[greedy])
    data = b"\xdd" + members.to_bytes(4) + GREEDY[greedy] * members
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="not"):
            decode(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 128 * len(data)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(max_size=70_000),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
)


@given(VALUES, st.integers(0, 2**31))
def test_what_a_value_claims_is_there_and_not_when_it_is_cut_or_longer(value, cut) -> None:
    whole = msgpack.packb(value)
    assert is_bounded(whole)
    assert not is_bounded(whole[: cut % len(whole)])
    assert not is_bounded(whole + b"\x00")


@pytest.mark.parametrize("head", [b"\x91", b"\x81\xa1x"], ids=["array", "map"])
def test_messages_nest_sixteen_levels(head) -> None:
    assert is_bounded(head * 16 + b"\x01")
    assert not is_bounded(head * 17 + b"\x01")


@pytest.mark.parametrize(
    ("value", "counts"),
    [(b"\xc0", 1), (b"\xa0", 1), (b"\x90", 5), (b"\x80", 5), (b"\x91\xc0", 6)],
)
def test_a_message_has_262_144_values_at_most_and_a_container_counts_for_four_more(
    value, counts
) -> None:
    most = (262_144 - 5) // counts
    assert is_bounded(b"\xdd" + most.to_bytes(4, "big") + value * most)
    assert not is_bounded(b"\xdd" + (most + 1).to_bytes(4, "big") + value * (most + 1))


def test_absent_members_stay_off_the_wire() -> None:
    assert msgpack.unpackb(encode({"t": "hello", "resume": None})) == {"t": "hello"}


@pytest.mark.parametrize(
    ("url", "socket"),
    [
        ("http://host:8080", "ws://host:8080/v1/signal"),
        ("https://host/base/", "wss://host/base/v1/signal"),
    ],
)
def test_the_socket_url_follows_the_server_url(url, socket) -> None:
    assert Credentials(url, "", "", "").socket_url == socket


def test_credentials_are_not_shown() -> None:
    assert "hush" not in repr(Credentials("http://host", "hush", "hush", "hush"))


def test_the_secret_is_no_argument() -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(["publish", "--secret", "12345678"])
    assert caught.value.code == 2


@pytest.mark.parametrize("number", [0, 1, 0x5555, 0xFFFF, 0x10001])
def test_the_frame_counter_is_read_back_from_the_frame(number) -> None:
    assert read_counter(draw_pattern(number, 320, 240)) == number & 0xFFFF


def write_clip(path, images: int) -> None:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libvpx", rate=30)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        video.codec_context.thread_count = 1
        audio = container.add_stream("libopus", rate=48_000, layout="mono")
        for index in range(images):
            frame = draw_pattern(index, 320, 240)
            frame.pts, frame.time_base = index, fractions.Fraction(1, 30)
            container.mux(video.encode(frame))
            audio_frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1600), np.int16), format="s16", layout="mono"
            )
            audio_frame.sample_rate, audio_frame.pts = 48_000, index * 1600
            audio_frame.time_base = fractions.Fraction(1, 48_000)
            container.mux(audio.encode(audio_frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


async def collect(source, monkeypatch, images: int, audio_frames: int):
    async def at_once(_playout, _time_s) -> None:
        pass

    monkeypatch.setattr(Playout, "wait_for", at_once)
    got = ([], [])
    for index in range(max(images, audio_frames)):
        if index < images:
            got[0].append(await source.video.recv())
        if index < audio_frames:
            got[1].append(await source.audio.recv())
    return got


async def test_a_looped_file_goes_on_in_time_and_order(tmp_path, monkeypatch) -> None:
    write_clip(tmp_path / "clip.webm", 15)
    source = await open_media(tmp_path / "clip.webm", loop_forever=True)
    try:
        assert (source.width, source.height) == (320, 240)
        images, audio_frames = await collect(source, monkeypatch, 45, 75)
    finally:
        source.close()
        source.video.stop()
        source.audio.stop()
    numbers = [read_counter(image) for image in images]
    assert numbers == [*range(15)] * 3
    assert all(one.pts < two.pts for one, two in itertools.pairwise(images))
    assert [audio_frame.pts for audio_frame in audio_frames[:20]] == [
        960 * index for index in range(20)
    ]
    assert all(one.pts < two.pts for one, two in itertools.pairwise(audio_frames))
    assert all(audio_frame.samples == 960 for audio_frame in audio_frames)


async def test_a_file_that_is_no_media_is_refused_without_its_path(tmp_path) -> None:
    path = tmp_path / "private-name.txt"
    path.write_text("no media")
    with pytest.raises(MediaSourceError) as caught:
        await open_media(path)
    assert "private-name" not in str(caught.value)
