"""However many members with however much of their own: a welcome fits the message SDKs take."""

import pytest

from signaling.domain.commands import Leave, Resume
from signaling.domain.effects import Send
from signaling.domain.errors import DomainError, ErrorCode
from signaling.domain.tokens import MAX_CONNECTION_DATA_CHARS
from signaling.domain.welcome_size import MAX_MESSAGE_BYTES
from signaling.protocol import messages as m
from signaling.protocol.codec import Encoding, encode
from tests.domain_room import Room, limits_with

TAKEN_BY_SDKS = 1_048_576
"""`MAX_MESSAGE_BYTES` of both."""
LENGTH_OF_ID = 36
JOINS = {"joins_per_s": 1e9, "joins_per_token_per_min": 10**9, "connections": 100_000}
DATA = {
    "some data": '{"name":"Ann Example"}' * 20,
    "all the data of a token": "x" * MAX_CONNECTION_DATA_CHARS,
    "characters that are escaped": "\x01" * MAX_CONNECTION_DATA_CHARS,
    "characters of four bytes": "\U0001f600" * MAX_CONNECTION_DATA_CHARS,
}
NAMES = {"no names": "", "long names": "\x01" * 1_000}


def named(number: int) -> str:
    return f"{number:0{LENGTH_OF_ID}}"


def fill(room: Room, data: str) -> None:
    for number in range(JOINS["connections"]):
        room.join(named(number), data=data)
        room.state.connections[named(number)].hint = 65_535


def filled(data: str) -> tuple[Room, int]:
    """A room into which nobody fits any more."""
    room = Room(e2ee=True, limits=limits_with(**JOINS))
    with pytest.raises(DomainError) as refused:
        fill(room, data)
    assert refused.value.code is ErrorCode.CONNECTION_LIMIT
    return room, len(room.state.connections)


def welcomed(room: Room) -> m.Welcome:
    """What the first member hears when it comes back."""
    effects = room.do(Resume(named(0), 1, "r" * 128, (), 1))
    return next(one.message for one in effects if isinstance(one, Send))


@pytest.mark.parametrize("what", DATA)
def test_a_session_is_full_before_its_welcome_is_too_large(what):
    room, members = filled(DATA[what])
    welcome = welcomed(room)
    assert (len(welcome.connections), len(welcome.hints)) == (members, members)
    for encoding in Encoding:
        assert len(encode(welcome, encoding)) <= TAKEN_BY_SDKS == MAX_MESSAGE_BYTES
    # Who leaves makes room again, and a refusal has taken none.
    reported = room.state.welcome_bytes
    room.do(Leave(named(members - 1), "clientDisconnected"))
    room.join(named(members), data=DATA[what])
    assert room.state.welcome_bytes == reported


@pytest.mark.parametrize("what", NAMES)
def test_streams_count_with_all_that_they_may_become(what):
    limits = limits_with(
        **JOINS,
        streams_per_connection=64,
        message_burst=1_000_000,
        fan_out_burst=1 << 40,
    )
    room = Room(limits=limits)
    streams: list[str] = []
    refused = None
    for member in range(200):
        room.join(named(member))
        for number in range(64):
            stream = f"{member:018}{number:018}"
            try:
                room.publish(named(member), stream, name=NAMES[what])
            except DomainError as caught:
                refused = caught.code
                break
            streams.append(stream)
            size = m.Dimensions(width=16_384, height=16_384)
            room.ask(
                named(member),
                m.UpdateStream(
                    id=1, stream_id=stream, has_audio=False, has_video=False, video_dimensions=size
                ),
            )
        if refused:
            break
    assert refused is ErrorCode.STREAM_LIMIT
    welcome = welcomed(room)
    assert len(welcome.streams) == len(streams)
    for encoding in Encoding:
        assert len(encode(welcome, encoding)) <= TAKEN_BY_SDKS
