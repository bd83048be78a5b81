"""What a server may send, and what a client reads: the same members, or none is read."""

from typing import get_args

import msgspec
import pytest
from sealroute_client import Session, UnexpectedServerResponse
from sealroute_client.answers import check_answer as check_description
from sealroute_client.downlink import Downlink
from sealroute_client.shapes import ANSWERS, MESSAGES, check_answer, check_message

from signaling.protocol.messages import ClientMessage, ServerMessage
from tests.hostile.lies.messages import SHAPES
from tests.unit.client.virtual import M_LINE, FakePeers

SPECIFIED = {shape.__struct_config__.tag: shape for shape in get_args(ServerMessage)}
WRONG = (7.5, "x", [7], {"a": [7]}, b"x", [{}])
TWO_LINES = M_LINE["audio"] + "0" + M_LINE["video"] + "1"


def test_each_message_of_the_protocol_has_a_shape_with_its_members() -> None:
    assert MESSAGES.keys() == SPECIFIED.keys()
    for tag, shape in SPECIFIED.items():
        specified = {row.encode_name for row in msgspec.structs.fields(shape)}
        assert specified == MESSAGES[tag].needed.keys() | MESSAGES[tag].others.keys(), tag


def test_what_the_protocol_may_leave_out_is_not_needed() -> None:
    for tag, shape in SPECIFIED.items():
        required = {row.encode_name for row in msgspec.structs.fields(shape) if row.required}
        assert MESSAGES[tag].needed.keys() <= required, tag


def test_each_request_has_its_answer() -> None:
    requests = {shape.__struct_config__.tag for shape in get_args(ClientMessage)}
    assert ANSWERS.keys() <= requests
    assert set(ANSWERS.values()) <= MESSAGES.keys()


@pytest.mark.parametrize("tag", sorted(MESSAGES))
def test_a_member_that_is_missing_or_of_another_type_is_found(tag) -> None:
    whole = {"t": tag, **SHAPES.get(tag, {})}
    for name, check in MESSAGES[tag].needed.items():
        for wrong in (None, *(value for value in WRONG if not check(value))):
            with pytest.raises(UnexpectedServerResponse, match=tag):
                check_message(whole | {name: wrong})
    for name, check in MESSAGES[tag].others.items():
        for wrong in (value for value in WRONG if not check(value)):
            with pytest.raises(UnexpectedServerResponse, match=tag):
                check_message(whole | {name: wrong})


def test_an_answer_to_another_request_is_no_answer() -> None:
    check_answer("ping", {"t": "pong", "re": 1})
    check_answer("signal", {"t": "ok", "re": 1})
    for request, tag in (("publish", "pong"), ("subscribe", "ok"), ("signal", "pong")):
        with pytest.raises(UnexpectedServerResponse, match=request):
            check_answer(request, {"t": tag, "re": 1})


def test_unknown_messages_and_members_pass() -> None:
    check_message({"t": "ofTomorrow", "x": 1})
    check_message({"t": "peerGone", "subscriberId": "s", "ofTomorrow": 1})


def test_nothing_but_what_may_change_changes_of_a_stream() -> None:
    """Least of all whose it is: its keys and its name are its publisher's."""
    session = Session("http://host", "key", "session", "token", "a secret of some length")
    messages = session._messages
    stream = {"streamId": "s", "connectionId": "c-ada", "hasVideo": True, "name": "ada"}
    messages.handle({"t": "streamCreated", "stream": stream})
    told = {"hasVideo": False, "connectionId": "c-bob", "name": "bob", "creationTime": 1}
    messages.handle({"t": "streamPropertyChanged", "streamId": "s", **told})
    assert session.streams["s"] == stream | {"hasVideo": False}


def test_an_answer_to_the_offered_m_lines_is_taken() -> None:
    check_description(TWO_LINES, TWO_LINES)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "x",
        "v=0",
        "m=audio",
        M_LINE["audio"] + "0",
        TWO_LINES + M_LINE["audio"] + "2",
        M_LINE["audio"] + "0" + M_LINE["video"] + "x1",
        M_LINE["audio"] + "1" + M_LINE["video"] + "0",
        M_LINE["video"] + "0" + M_LINE["audio"] + "1",
        TWO_LINES.replace("VP8", "VP9"),
        TWO_LINES.replace("opus/48000/2", "PCMU/8000"),
        TWO_LINES.replace("a=fingerprint", "a=x"),
        TWO_LINES.replace("a=setup", "a=x"),
        TWO_LINES.replace("a=recvonly", "a=sendonly"),
        TWO_LINES.replace("a=recvonly", "a=sendrecv"),
        TWO_LINES.replace("a=recvonly", "a=x"),
    ],
)
def test_any_other_answer_is_refused_with_a_code(answer) -> None:
    with pytest.raises(UnexpectedServerResponse):
        check_description(TWO_LINES, answer)


@pytest.mark.parametrize("offer", ["", "v=0", TWO_LINES.replace("a=fingerprint", "a=x")])
async def test_an_offer_without_m_lines_or_certificate_never_reaches_the_library(offer) -> None:
    peers = FakePeers()
    with pytest.raises(UnexpectedServerResponse):
        await Downlink(peers).answer(offer)  # type: ignore[arg-type]
