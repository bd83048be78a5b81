"""What a server names, and how long or large it may make anything, is bounded at the boundary."""

import pytest
from sealroute_client import UnexpectedServerResponse, answers
from sealroute_client.shapes import check_message
from sealroute_client.signaling import _milliseconds


@pytest.mark.parametrize("name", ["", "x" * 257, "a\nb", "\x1b[2J", "\x7f", "\x85"])
@pytest.mark.parametrize(
    ("kind", "member"),
    [("peerGone", "subscriberId"), ("streamDestroyed", "streamId"), ("signalReceived", "from")],
)
def test_an_id_is_1_to_256_characters_without_control_characters(kind, member, name) -> None:
    check_message({"t": kind, member: "x" * 256})
    with pytest.raises(UnexpectedServerResponse, match=kind):
        check_message({"t": kind, member: name})


def test_a_description_with_too_many_m_lines_is_never_parsed(monkeypatch) -> None:
    monkeypatch.setattr(answers, "SessionDescription", None)
    with pytest.raises(UnexpectedServerResponse, match="m-lines"):
        answers.parse("v=0" + "\nm=audio 9 RTP/SAVPF 96" * (answers.MAX_LINES + 1))


@pytest.mark.parametrize(
    ("told", "taken_s"), [(1, 0.1), (10_000, 10.0), (2**63, 60.0), (-1, 7.0), (True, 7.0)]
)
def test_a_time_of_the_server_has_bounds(told, taken_s) -> None:
    assert _milliseconds(told, 7.0, 60.0) == taken_s
