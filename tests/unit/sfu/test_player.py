"""A player's offer against a published stream: real offers of browsers, and broken ones."""

import contextlib
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.core_api import Codec, EncodingParameters, Extension, MediaKind
from sfu.rtp_parameters import NegotiatedCodec, NegotiatedMedia
from sfu.sdp.build import LocalTransport, Origin
from sfu.sdp.errors import SdpError
from sfu.sdp.parse import Fingerprint, parse
from sfu.sdp.player import PlayerPlan, plan_playing

HEAD = (
    "v=0",
    "o=- 1 1 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "a=group:BUNDLE a v",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:abcdefghijklmnopqrstuv",
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
    "a=setup:actpass",
)
AUDIO = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 109 9",
    "c=IN IP4 0.0.0.0",
    "a=mid:a",
    "a=recvonly",
    "a=rtcp-mux",
    "a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=rtpmap:109 opus/48000/2",
    "a=rtpmap:9 G722/8000",
)
VIDEO = (
    "m=video 9 UDP/TLS/RTP/SAVPF 120 121 97 98",
    "c=IN IP4 0.0.0.0",
    "a=mid:v",
    "a=recvonly",
    "a=rtcp-mux",
    "a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=rtpmap:120 VP8/90000",
    "a=rtcp-fb:120 nack",
    "a=rtcp-fb:120 nack pli",
    "a=rtcp-fb:120 goog-remb",
    "a=rtpmap:121 rtx/90000",
    "a=fmtp:121 apt=120",
    "a=rtpmap:97 H264/90000",
    "a=fmtp:97 profile-level-id=64001f;packetization-mode=1",
    "a=rtpmap:98 H264/90000",
    "a=fmtp:98 profile-level-id=42e01f;packetization-mode=1",
)
TRANSPORT = LocalTransport(
    "ufrag", "p" * 22, Fingerprint("sha-256", b"\x01" * 32), ("192.0.2.1",), 9
)


def offer(*sections: tuple[str, ...], head: tuple[str, ...] = HEAD) -> str:
    return "\r\n".join([*head, *itertools.chain(*sections)]) + "\r\n"


def published(mid: str, codec: Codec, **parameters: str) -> NegotiatedMedia:
    kind = MediaKind.AUDIO if codec is Codec.OPUS else MediaKind.VIDEO
    names = {name.replace("_", "-"): value for name, value in parameters.items()}
    negotiated = NegotiatedCodec(codec, 96, 97 if kind is MediaKind.VIDEO else None, names)
    extensions = {Extension.MID: 1, Extension.AUDIO_LEVEL: 2}
    return NegotiatedMedia(mid, kind, negotiated, (EncodingParameters(),), extensions)


def plan(text: str, *sources: NegotiatedMedia) -> PlayerPlan:
    numbers = itertools.count(1_000)
    return plan_playing(parse(text), sources, lambda: next(numbers))


def refused(text: str, *sources: NegotiatedMedia) -> str:
    with pytest.raises(SdpError) as caught:
        plan(text, *sources)
    return caught.value.code


OPUS, VP8 = published("0", Codec.OPUS), published("1", Codec.VP8)


def test_the_down_tracks_carry_the_players_numbers_and_the_streams_mids() -> None:
    audio, video = plan(offer(AUDIO, VIDEO), OPUS, VP8).down_tracks
    assert (audio.mid, audio.up_track_mid, audio.payload_type) == ("a", "0", 109)
    assert (video.mid, video.up_track_mid, video.payload_type) == ("v", "1", 120)
    assert (video.rtx_payload_type, video.rtx_ssrc is not None) == (121, True)
    assert audio.extensions == {Extension.MID: 5}
    assert len({audio.ssrc, video.ssrc, video.rtx_ssrc}) == 3


def test_the_answer_sends_what_there_is_and_the_rest_stays_in_the_bundle() -> None:
    text = plan(offer(AUDIO, VIDEO), VP8).answer(TRANSPORT, Origin(1, 1), "s")
    answer = parse(text)
    audio, video = answer.media
    assert (audio.rejected, audio.direction, audio.formats) == (False, "inactive", ("109",))
    assert (video.rejected, video.direction) == (False, "sendonly")
    assert video.formats == ("120", "121")
    assert answer.bundle == ("a", "v")
    assert audio.transport.ice_ufrag == video.transport.ice_ufrag == "ufrag"
    assert video.transport.setup == "passive"
    first = text[text.index("m=audio") : text.index("m=video")]
    assert "a=candidate:1 1 udp" in first
    assert "goog-remb" in text


def test_an_m_line_of_codecs_that_nobody_forwards_is_rejected() -> None:
    unknown = tuple(line for line in AUDIO if "opus" not in line)
    answer = parse(plan(offer(unknown, VIDEO), VP8).answer(TRANSPORT, Origin(1, 1), "s"))
    assert answer.media[0].rejected
    assert answer.bundle == ("v",)


GSTREAMER = (
    Path(__file__).parents[2] / "vectors" / "sdp" / "player-gstreamer-1.28.sdp"
).read_text()


@pytest.mark.parametrize(
    ("source", "payload_type"),
    [
        (published("1", Codec.VP8), 101),
        (published("1", Codec.VP9, profile_id="2"), 102),
        (published("1", Codec.H264, profile_level_id="64001f", packetization_mode="1"), 103),
        (published("1", Codec.AV1, profile="1"), 105),
    ],
)
def test_a_player_that_names_no_profile_takes_what_there_is(source, payload_type) -> None:
    audio, video = plan(GSTREAMER, published("0", Codec.OPUS), source).down_tracks
    assert (audio.payload_type, video.payload_type) == (96, payload_type)


def test_a_player_that_insists_on_being_the_dtls_server_is_answered_as_its_client() -> None:
    made = plan(offer(AUDIO, VIDEO).replace("a=setup:actpass", "a=setup:passive"), VP8)
    assert made.remote.setup == "passive"
    answer = parse(made.answer(replace(TRANSPORT, answered_setup="active"), Origin(1, 1), "s"))
    assert {media.transport.setup for media in answer.media} == {"active"}


def test_h264_is_matched_by_profile() -> None:
    source = published("1", Codec.H264, profile_level_id="42e034", packetization_mode="1")
    (down_track,) = plan(offer(AUDIO, VIDEO), source).down_tracks
    assert down_track.payload_type == 98
    other = published("1", Codec.H264, profile_level_id="4d001f", packetization_mode="1")
    assert refused(offer(AUDIO, VIDEO), other) == "codec_unsupported"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("a=recvonly", "a=sendonly", "codec_unsupported"),
        ("a=group:BUNDLE a v", "a=x", "sdp_invalid"),
        ("a=setup:actpass", "a=setup:holdconn", "setup_invalid"),
        ("a=fingerprint:sha-256", "a=fingerprint:sha-1", "fingerprint_unsupported"),
        ("VP8/90000", "VP8/8000", "codec_unsupported"),
    ],
)
def test_offers_that_cannot_be_filled_are_refused(old: str, new: str, code: str) -> None:
    assert refused(offer(AUDIO, VIDEO).replace(old, new), VP8) == code


@given(st.data())
def test_any_change_of_an_offer_is_filled_or_refused(data: st.DataObject) -> None:
    lines = [*HEAD, *AUDIO, *VIDEO]
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(lines) - 1))
        action = data.draw(st.sampled_from(["drop", "double", "text"]))
        if action == "drop":
            del lines[index]
        elif action == "double":
            lines.insert(index, lines[index])
        else:
            lines[index] = data.draw(st.text(max_size=30))
    made = None
    with contextlib.suppress(SdpError):
        made = plan("\r\n".join(lines) + "\r\n", OPUS, VP8)
    if made is not None:
        parse(made.answer(TRANSPORT, Origin(1, 1), "s"))
