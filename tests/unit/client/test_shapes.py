"""What a server may send, and what a client reads: the same members, or none is read."""

from typing import get_args

import msgspec
import pytest
from sealroute_client import Session, UnexpectedServerResponse
from sealroute_client.checking import check_answer, check_message
from sealroute_client.rules import ANSWERS
from sealroute_client.shapes import MESSAGES

from signaling.protocol.messages import ClientMessage, ServerMessage
from tests.hostile.lies.messages import SHAPES

SPECIFIED = {shape.__struct_config__.tag: shape for shape in get_args(ServerMessage)}
WRONG = (7.5, "x", [7], {"a": [7]}, b"x", [{}])


def test_each_message_of_the_protocol_has_a_shape_with_its_members() -> None:
    assert MESSAGES.keys() == SPECIFIED.keys()
    for tag, shape in SPECIFIED.items():
        specified = {row.encode_name for row in msgspec.structs.fields(shape)}
        assert specified == MESSAGES[tag].needed.keys() | MESSAGES[tag].others.keys(), tag


def test_what_the_protocol_requires_is_needed_and_nothing_else() -> None:
    for tag, shape in SPECIFIED.items():
        required = {row.encode_name for row in msgspec.structs.fields(shape) if row.required}
        assert MESSAGES[tag].needed.keys() == required, tag


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
    check_message({"t": "peerUnsubscribed", "subscriberId": "s", "ofTomorrow": 1})


def test_nothing_but_what_may_change_changes_of_a_stream() -> None:
    """Least of all whose it is: its keys and its name are its publisher's."""
    session = Session("http://host", "key", "session", "token", "a secret of some length")
    messages = session._messages
    stream = {"streamId": "s", "connectionId": "c-ada", "hasVideo": True, "name": "ada"}
    messages.handle({"t": "streamCreated", "stream": stream})
    reported = {"hasVideo": False, "connectionId": "c-bob", "name": "bob", "creationTime": 1}
    messages.handle({"t": "streamPropertyChanged", "streamId": "s", **reported})
    assert session.streams["s"] == stream | {"hasVideo": False}
