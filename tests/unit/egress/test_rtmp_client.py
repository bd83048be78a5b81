"""The RTMP client: what it says, what it takes, what it refuses."""

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfu.egress.child import amf, rtmp_chunks
from sfu.egress.child.rtmp_chunks import ChunkReader, Message, chunks
from sfu.egress.child.rtmp_client import RtmpAddress, RtmpClient, RtmpError
from tests.rtmp_server import RtmpPeer
from tests.unit.egress.broadcast_media import encoded

ADDRESS = RtmpAddress("rtmp://media.test/live?x=1", "live?x=1", "secret-key")
TRACKS, PACKETS = encoded(3)


def connected(peer=None, step=65_536):
    client, peer = RtmpClient(ADDRESS, TRACKS, bytes(1_528)), peer or RtmpPeer()
    pump(client, peer, step)
    return client, peer


def pump(client, peer, step=65_536):
    """Until nobody has anything to say; `step` bytes at a time."""
    while (sent := client.take()) or peer.out:
        for at in range(0, len(sent), step):
            peer.handle(sent[at : at + step])
        answered = peer.take()
        for at in range(0, len(answered), step):
            client.handle(answered[at : at + step])


@pytest.mark.parametrize("step", [1, 7, 65_536])
def test_it_publishes_the_headers_then_each_packet_at_its_time(step):
    client, peer = connected(step=step)
    assert client.is_live
    for packet in PACKETS:
        client.publish(packet)
    pump(client, peer)
    names = [command[0] for command in peer.commands]
    assert names == ["connect", "releaseStream", "FCPublish", "createStream", "publish"]
    connect, publish = peer.commands[0], peer.commands[4]
    assert (connect[2]["app"], connect[2]["tcUrl"]) == (ADDRESS.app, ADDRESS.tc_url)
    assert publish[3:] == ["secret-key", "live"]
    assert peer.video[0].body == b"\x17\x00\x00\x00\x00" + TRACKS.video.record
    assert peer.audio[0].body == b"\xaf\x00" + TRACKS.audio.config
    frames = [one for one in PACKETS if one.kind == "video"]
    assert [one.at_ms for one in peer.video[1:]] == [one.at * 1_000 // 30 for one in frames]
    assert [one.body[0] for one in peer.video[1:]] == [0x17 if one.key else 0x27 for one in frames]
    lengths = [struct.unpack_from(">I", one.body, 5)[0] for one in peer.video[1:]]
    assert all(
        length <= len(one.body) - 9 for length, one in zip(lengths, peer.video[1:], strict=True)
    )
    blocks = [one for one in PACKETS if one.kind == "audio"]
    assert [one.body for one in peer.audio[1:]] == [b"\xaf\x01" + one.data for one in blocks]
    data = next(one for one in peer.messages if one.kind == rtmp_chunks.DATA)
    name, event, members = amf.decoded(data.body)
    assert (name, event, members["width"]) == ("@setDataFrame", "onMetaData", 64.0)


def test_a_connection_that_follows_begins_at_zero():
    client, peer = connected()
    for packet in PACKETS[200:]:
        client.publish(packet)
    pump(client, peer)
    assert min(one.at_ms for one in peer.video[1:] + peer.audio[1:]) == 0


def test_pings_are_answered_and_bytes_acknowledged():
    client, peer = connected()
    pong = [one for one in peer.messages if one.kind == rtmp_chunks.USER_CONTROL]
    assert [one.body for one in pong] == [bytes([0, 7, 0, 0, 0, 9])]
    peer.send(Message(rtmp_chunks.WINDOW_SIZE, (1_000).to_bytes(4)))
    pump(client, peer)
    for _ in range(40):
        peer.status("NetStream.Something.Else")
    pump(client, peer)
    kinds = [one.kind for one in peer.messages]
    assert rtmp_chunks.ACKNOWLEDGEMENT in kinds


@pytest.mark.parametrize("command", ["connect", "createStream"])
def test_a_refusal_ends_the_connection(command):
    with pytest.raises(RtmpError, match=r"The server refused: NetConnection\.Refused"):
        connected(RtmpPeer(refuses=command))


@pytest.mark.parametrize("command", ["releaseStream", "FCPublish"])
def test_servers_that_do_not_know_the_older_commands_are_fine(command):
    client, _ = connected(RtmpPeer(refuses=command))
    assert client.is_live


def test_an_error_of_the_stream_ends_the_connection_without_words_of_the_server():
    client, peer = connected()
    peer.say(
        "onStatus",
        0.0,
        None,
        {"level": "error", "code": "NetStream.Publish.BadName", "description": "secret-key"},
    )
    with pytest.raises(RtmpError) as failure:
        pump(client, peer)
    assert str(failure.value) == "The server ended the stream: NetStream.Publish.BadName."
    peer.say("onStatus", 0.0, None, {"level": "error", "code": "secret key\n"})
    with pytest.raises(RtmpError, match="unknown"):
        pump(client, peer)


def test_the_name_of_the_stream_is_in_no_representation():
    assert "secret" not in repr(ADDRESS)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n" * 200,
        b"\x06" + bytes(4_000),
        b"\x03" + bytes(3_072) + b"\x03" + bytes(3) + b"\xff\xff\xff\x14" + bytes(4),  # 16 MB
        b"\x03" + bytes(3_072) + bytes([2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        b"\x03" + bytes(3_072) + chunks(Message(20, b"\x02\x00"), 3, 128),
        b"\x03" + bytes(3_072) + chunks(Message(20, b"\x00" * 9), 3, 128),
        b"\x03" + bytes(3_072) + chunks(Message(20, b"\x03" + b"\x00\x01a\x03" * 20), 3, 128),
    ],
)
def test_what_is_no_rtmp_is_refused(data):
    client = RtmpClient(ADDRESS, TRACKS, bytes(1_528))
    with pytest.raises(RtmpError):
        client.handle(data)


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(1, 100))
def test_no_bytes_of_a_server_do_harm(data, step):
    client = RtmpClient(ADDRESS, TRACKS, bytes(1_528))
    client.handle(b"\x03" + bytes(3_072))
    try:
        for at in range(0, len(data), step):
            client.handle(data[at : at + step])
    except RtmpError:
        pass


@given(
    st.lists(st.tuples(st.integers(1, 4), st.binary(max_size=700)), max_size=8), st.integers(1, 300)
)
def test_messages_come_out_of_their_chunks_as_they_went_in(bodies, step):
    sent = [Message(8, body, 1, 17 * number) for number, (_, body) in enumerate(bodies)]
    data = b"".join(
        chunks(message, 2 + stream, 128) for message, (stream, _) in zip(sent, bodies, strict=True)
    )
    reader, found = ChunkReader(), []
    for at in range(0, len(data), step):
        found += reader.feed(data[at : at + step])
    assert found == sent


def test_times_of_more_than_four_hours_have_a_longer_form():
    message = Message(9, bytes(300), 1, 0x1000000)
    (found,) = ChunkReader().feed(chunks(message, 6, 128))
    assert (found.body, len(chunks(message, 6, 128))) == (bytes(300), 12 + 4 + 300 + 2 * 5)


@given(
    st.recursive(
        st.booleans() | st.none() | st.text(max_size=20) | st.floats(allow_nan=False),
        lambda inner: st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=4),
        max_leaves=20,
    )
)
def test_values_come_out_of_amf_as_they_went_in(value):
    try:
        (found,) = amf.decoded(amf.encoded(value))
    except ValueError:  # deeper than any command
        return
    assert found == value


@given(st.binary(max_size=200))
def test_what_is_no_amf_is_refused(data):
    with contextlib.suppress(ValueError):
        amf.decoded(data)
