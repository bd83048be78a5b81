"""What a description of a server may say. What it may not is refused before aiortc gets any of it,
with a code, and what was agreed on before stays."""

import pytest
from sealroute_client import DecryptionUnsupportedCodec, UnexpectedServerResponse, descriptions
from sealroute_client.descriptions import AnswerRules, OfferRules

from tests.unit.client.virtual import M_LINE

ANSWER = M_LINE["audio"] + "0" + M_LINE["video"] + "1"
UPLINK = ANSWER.replace("a=recvonly", "a=sendonly").replace("a=setup:active", "a=setup:actpass")
DOWNLINK = UPLINK
BOTH = {"0", "1"}
OTHER_PRINT = ("sha-256 AB", "sha-256 CD")
OTHER_ROLE = ("a=setup:actpass", "a=setup:active")
THIRD = M_LINE["audio"].replace("a=recvonly", "a=inactive").replace("setup:active", "setup:actpass")


def test_an_answer_to_the_offered_m_lines_is_taken_again_and_again() -> None:
    rules = AnswerRules()
    for _ in range(2):
        rules.check(UPLINK, ANSWER, BOTH)


def test_the_m_line_of_a_stream_that_has_ended_needs_no_receiver() -> None:
    """Also where the client did not know of the end when it published the next one."""
    ended = ANSWER.replace("a=recvonly", "a=inactive", 1)
    AnswerRules().check(UPLINK, ended, {"1"})
    AnswerRules().check(UPLINK.replace("a=sendonly", "a=inactive", 1), ended, {"1"})


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "x",
        "v=0",
        "m=audio",
        M_LINE["audio"] + "0",
        ANSWER + M_LINE["audio"] + "2",
        M_LINE["audio"] + "0" + M_LINE["video"] + "x1",
        M_LINE["audio"] + "1" + M_LINE["video"] + "0",
        M_LINE["video"] + "0" + M_LINE["audio"] + "1",
        ANSWER.replace("VP8", "VP9"),
        ANSWER.replace("opus/48000/2", "PCMU/8000"),
        ANSWER.replace("a=fingerprint", "a=x"),
        ANSWER.replace("a=setup", "a=x"),
        ANSWER.replace("a=recvonly", "a=sendonly"),
        ANSWER.replace("a=recvonly", "a=sendrecv"),
        ANSWER.replace("a=recvonly", "a=inactive"),
        ANSWER.replace("a=recvonly", "a=inactive", 1),
        ANSWER.replace("a=recvonly", "a=x"),
        ANSWER.replace("m=video 9", "m=video 0"),
        ANSWER.replace(*OTHER_PRINT, 1),
    ],
)
def test_any_other_answer_is_refused_with_a_code(answer) -> None:
    with pytest.raises(UnexpectedServerResponse):
        AnswerRules().check(UPLINK, answer, BOTH)


@pytest.mark.parametrize(
    "again", [ANSWER.replace(*OTHER_PRINT), ANSWER.replace("a=setup:active", "a=setup:passive")]
)
def test_who_answers_stays_the_same_for_the_life_of_an_uplink(again) -> None:
    rules = AnswerRules()
    rules.check(UPLINK, ANSWER, BOTH)
    with pytest.raises(UnexpectedServerResponse, match="another certificate"):
        rules.check(UPLINK, again, BOTH)
    rules.check(UPLINK, ANSWER, BOTH)


def test_an_offer_is_taken_and_later_ones_may_have_more_m_lines_or_pause_some() -> None:
    rules, more = OfferRules(), DOWNLINK + THIRD + "2"
    rules.check(DOWNLINK, {"0", "1"})
    rules.check(more, {"0", "1"})
    rules.check(more.replace("a=sendonly", "a=inactive"))
    rules.check(more, {"0", "1"})


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "v=0",
        DOWNLINK.replace("a=fingerprint", "a=x"),
        DOWNLINK.replace("a=sendonly", "a=recvonly"),
        DOWNLINK.replace("a=sendonly", "a=sendrecv", 1),
        DOWNLINK.replace("a=sendonly", "a=x"),
        DOWNLINK.replace("a=sendonly", "a=inactive"),
        DOWNLINK.replace("m=video 9", "m=video 0"),
        DOWNLINK.replace("a=mid:1", "a=mid:0"),
        DOWNLINK.replace("a=mid:1", "a=mid:7"),
        DOWNLINK.replace(*OTHER_PRINT),
        DOWNLINK.replace(*OTHER_PRINT, 1),
        DOWNLINK.replace(*OTHER_ROLE),
        M_LINE["audio"].replace("recvonly", "sendonly").replace("setup:active", "setup:actpass")
        + "0",
        DOWNLINK + "\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2",
    ],
)
def test_an_offer_that_says_something_else_is_refused_and_changes_nothing(offer) -> None:
    rules = OfferRules()
    rules.check(DOWNLINK, {"0", "1"})
    with pytest.raises(UnexpectedServerResponse):
        rules.check(offer, {"0", "1"})
    rules.check(DOWNLINK, {"0", "1"})


def test_an_offer_of_a_codec_that_nothing_here_decodes_is_refused_by_its_own_code() -> None:
    with pytest.raises(DecryptionUnsupportedCodec):
        OfferRules().check(DOWNLINK.replace("VP8", "AV1"))


def _many(*lines: str, times: int = 600) -> str:
    return DOWNLINK + "\r\n" + "\r\n".join(lines * times)


@pytest.mark.parametrize(
    "offer",
    [
        _many("a=rtpmap:96 opus/48000/2", "a=rtcp-fb:* nack"),
        _many("a=rtpmap:97 VP8/90000", "a=fmtp:97 a=1"),
        _many(*(f"a=ssrc:{n} cname:c" for n in range(600)), times=1),
        _many("a=candidate:1 1 udp 1 192.0.2.1 9 typ host"),
        *("m=audio 9 X 96".join([mark] * 1_100) for mark in ("\r\n", "\r", "\v", "\u2028")),
    ],
    ids=["feedback", "parameters", "sources", "candidates", "crlf", "cr", "vt", "ls"],
)
def test_a_description_that_takes_a_parser_long_is_refused_before_it_is_parsed(
    offer, monkeypatch
) -> None:
    """A few kilobytes of it stop a client for seconds, and the longest message fills its memory."""
    monkeypatch.setattr(
        descriptions.SessionDescription, "parse", lambda _sdp: pytest.fail("parsed")
    )
    with pytest.raises(UnexpectedServerResponse):
        OfferRules().check(offer)
