"""What a server names, and how long or large it may make anything, is bounded at the boundary."""

import pytest
from sealroute_client import ServerError, UnexpectedServerResponse, descriptions
from sealroute_client.checking import check_message
from sealroute_client.rules import MAX_M_LINES
from sealroute_client.signaling import _milliseconds

NO_IDS = ["", "x" * 257, "\U0001f600" * 129, "a\nb", "\x1b[2J", "\x7f", "\x85", "\ud800"]
CAPABILITIES = ("publish", "subscribe", "signal", "forceUnpublish", "forceDisconnect", "forceMute")
TRACK = {"kind": "audio", "codec": "opus"}
ERROR = {"t": "error", "code": "internal", "name": "OT_X", "number": 1, "message": "x"}
IDS_EVERYWHERE = {
    "downlinkOffer": lambda name: {
        "offerId": 1,
        "sdp": "",
        "tracks": [{**TRACK, "mid": name, "subscriberId": "s", "streamId": "s"}],
    },
    "peerCandidateReceived": lambda name: {"subscriberId": "s", "candidate": "", "mid": name},
    "notEncrypted": lambda name: {"streamId": "s", "mid": name, "packets": 1},
    "subscribedLayersChanged": lambda name: {
        "streamId": "s",
        "mid": name,
        "subscribed": True,
        "rids": [],
    },
    "published": lambda name: {
        "re": 1,
        "streamId": "s",
        "answer": "",
        "tracks": [{**TRACK, "mid": name}],
    },
    "welcome": lambda name: {
        "re": 1,
        "connection": {"connectionId": "c", "creationTime": 1},
        "session": {"sessionId": "s"},
        "capabilities": dict.fromkeys(CAPABILITIES, 1),
        "connections": [],
        "streams": [],
        "resume": "r",
        "resumed": False,
        "keepAliveMs": 10_000,
        "graceMs": 15_000,
        "hints": {name: 1},
    },
}
"""Where ids stand that are no member of their message's own."""


@pytest.mark.parametrize("name", NO_IDS)
@pytest.mark.parametrize("kind", IDS_EVERYWHERE)
def test_an_id_is_one_wherever_it_stands(kind, name) -> None:
    check_message({"t": kind, **IDS_EVERYWHERE[kind]("x" * 256)})
    with pytest.raises(UnexpectedServerResponse, match=kind):
        check_message({"t": kind, **IDS_EVERYWHERE[kind](name)})


@pytest.mark.parametrize(("member", "limit"), [("code", 64), ("name", 64), ("message", 1000)])
def test_the_words_of_an_error_are_short_enough_to_be_shown(member, limit) -> None:
    check_message(ERROR | {member: "x" * limit})
    with pytest.raises(UnexpectedServerResponse, match="error"):
        check_message(ERROR | {member: "x" * (limit + 1)})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "1", None])
def test_a_number_is_finite(value) -> None:
    stream = {"streamId": "s", "connectionId": "c", "creationTime": 1, "frameRate": value}
    if value is None:
        check_message({"t": "streamCreated", "stream": stream})
        return
    with pytest.raises(UnexpectedServerResponse):
        check_message({"t": "streamCreated", "stream": stream})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "1", None, -1])
def test_a_time_is_a_whole_number_that_is_there(value) -> None:
    connection = {"connectionId": "c", "creationTime": value}
    with pytest.raises(UnexpectedServerResponse):
        check_message({"t": "connectionCreated", "connection": connection})
    with pytest.raises(UnexpectedServerResponse):
        check_message({"t": "connectionCreated", "connection": {"connectionId": "c"}})


@pytest.mark.parametrize("value", [-1, 2**53, 2**53 + 1, 2**64 - 1, 1.0, True])
def test_a_count_is_a_whole_number_that_every_client_can_read(value) -> None:
    offer = {"t": "downlinkOffer", "offerId": value, "sdp": "", "tracks": []}
    with pytest.raises(UnexpectedServerResponse):
        check_message(offer)
    check_message(offer | {"offerId": 2**53 - 1})


@pytest.mark.parametrize("name", NO_IDS)
@pytest.mark.parametrize(
    ("kind", "member"),
    [
        ("peerUnsubscribed", "subscriberId"),
        ("streamDestroyed", "streamId"),
        ("signalReceived", "from"),
    ],
)
def test_an_id_is_1_to_256_characters_without_control_characters(kind, member, name) -> None:
    others = {"reason": "mediaStopped"} if kind == "streamDestroyed" else {}
    check_message({"t": kind, **others, member: "x" * 256})
    with pytest.raises(UnexpectedServerResponse, match=kind):
        check_message({"t": kind, **others, member: name})


def test_a_description_with_too_many_m_lines_is_never_parsed(monkeypatch) -> None:
    monkeypatch.setattr(descriptions, "SessionDescription", None)
    with pytest.raises(UnexpectedServerResponse, match="m-lines"):
        descriptions.parse("v=0" + "\nm=audio 9 RTP/SAVPF 96" * (MAX_M_LINES + 1))


@pytest.mark.parametrize(
    ("reported", "taken_s"), [(1, 0.1), (10_000, 10.0), (2**63, 60.0), (-1, 7.0), (True, 7.0)]
)
def test_a_time_of_the_server_has_bounds(reported, taken_s) -> None:
    assert _milliseconds(reported, 7.0, 60.0) == taken_s


def test_an_error_without_a_word_is_one_all_the_same() -> None:
    for message in ({}, {"code": None, "name": None, "number": None, "message": None}):
        made = ServerError.from_wire(message)
        assert (made.code, made.name) == ("internal", "OT_UNEXPECTED_SERVER_RESPONSE")
        assert (made.number, bool(str(made))) == (2000, True)
