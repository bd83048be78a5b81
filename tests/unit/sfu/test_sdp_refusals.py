"""Descriptions that are too large, damaged or random: refused with a code, at a bounded cost."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfu.sdp.errors import SdpError
from sfu.sdp.parse import parse
from tests.sdp_texts import OFFERS, answer_to, refusal

HUGE = {
    "one megabyte": "v=0\r\n" + "a=x:" + "y" * 1_000_000 + "\r\n",
    "ten thousand m-lines": "v=0\r\n" + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * 10_000,
    "ten thousand short m-lines": "v=0\n" + "m=a 9 b 0\n" * 10_000,
    "fifty thousand candidates": "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"
    + "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n" * 50_000,
    "candidates within the size": "v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 0\n" + "a=candidate:\n" * 8_000,
    "lines within the size": "v=0\n" + "a=x\n" * 30_000,
    "attributes of one m-line": "v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 0\n" + "a=x\n" * 8_000,
    "formats of one m-line": "v=0\nm=audio 9 UDP/TLS/RTP/SAVPF" + " 0" * 900 + "\n",
    "fingerprints": "v=0\n" + "a=fingerprint:sha-1 00\n" * 5_000,
}


@pytest.mark.parametrize("name", HUGE)
def test_what_is_too_large_is_refused_at_once(name):
    tracemalloc.start()
    try:
        assert refusal(parse, HUGE[name]) == "sdp_too_large"
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_parsed_or_refused_with_a_code(text):
    codes = set()
    for candidate in (text, "v=0\r\n" + text):
        try:
            parse(candidate)
        except SdpError as error:
            codes.add(error.code)
    assert codes <= {"sdp_invalid", "sdp_too_large"}


REFUSALS = frozenset(
    {
        "sdp_invalid",
        "sdp_too_large",
        "setup_invalid",
        "fingerprint_unsupported",
        "ssrc_conflict",
        "track_unknown",
        "codec_unsupported",
    }
)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(sorted(OFFERS)),
    st.lists(
        st.tuples(
            st.floats(0, 1, exclude_max=True),
            st.sampled_from(["cut", "repeat", "swap", "insert"]),
            st.text(alphabet="0123456789 :;=/aefmpstv~,-*\r\n", max_size=12),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_a_damaged_offer_is_answered_or_refused_with_a_code(name, damages):
    text = OFFERS[name]
    for where, how, word in damages:
        at = int(where * len(text))
        if how == "cut":
            text = text[:at] + text[at + len(word) + 1 :]
        elif how == "repeat":
            text = text[: at + 40] + text[at:]
        elif how == "swap":
            lines = text.split("\n")
            index = int(where * (len(lines) - 1))
            lines[index], lines[index + 1 - len(lines)] = (
                lines[index + 1 - len(lines)],
                lines[index],
            )
            text = "\n".join(lines)
        else:
            text = text[:at] + word + text[at:]
    code = None
    try:
        answer = answer_to(text)
    except SdpError as error:
        code = error.code
    else:
        parse(answer)
    assert code in REFUSALS | {None}
