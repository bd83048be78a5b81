"""Offers of real browsers and encoders, and the answers to them."""

import re
from dataclasses import replace

import pytest
from aiortc.sdp import SessionDescription as AiortcDescription

from sfu.core_api import Codec, Extension, MediaKind
from sfu.rtp_parameters import stream_format, up_track_parameters
from sfu.sdp.negotiate import build_uplink_answer, check_kept, choose, read_uplink_offer
from sfu.sdp.parse import parse
from tests.sdp_texts import (
    CHROMIUM,
    CHROMIUM_SIMULCAST,
    FIREFOX,
    FIREFOX_SIMULCAST,
    LOCAL,
    OFFERS,
    ORIGIN,
    VECTORS,
    answer_to,
    negotiate,
    prefer,
    refusal,
)


def test_there_are_offers_of_both_browsers():
    assert {name.split("-")[0] for name in OFFERS} == {"chromium", "firefox"}


@pytest.mark.parametrize("name", OFFERS)
def test_the_answer_to_a_real_offer_is_read_by_another_parser(name):
    answer = AiortcDescription.parse(answer_to(OFFERS[name]))
    audio, video = answer.media
    assert answer.group[0].items == ["0", "1"]
    assert [c.mimeType for c in audio.rtp.codecs] == ["audio/opus"]
    assert [c.mimeType.lower() for c in video.rtp.codecs] == ["video/vp8", "video/rtx"]
    assert video.rtp.codecs[1].parameters == {"apt": video.rtp.codecs[0].payloadType}
    for media in answer.media:
        assert media.direction == "recvonly"
        assert media.rtcp_mux
        assert media.dtls.role == "server"
        assert media.ice.iceLite
        assert len(media.ice.password) >= 24
        assert media.dtls.fingerprints[0].algorithm == "sha-256"
    assert [c.ip for c in audio.ice_candidates] == ["192.0.2.7", "2001:db8::7"]
    assert {(c.component, c.port, c.protocol, c.type) for c in audio.ice_candidates} == {
        (1, 10_000, "udp", "host")
    }
    priorities = [c.priority for c in audio.ice_candidates]
    assert priorities == sorted(priorities, reverse=True)
    assert len({c.foundation for c in audio.ice_candidates}) == 2
    assert audio.ice_candidates_complete


@pytest.mark.parametrize("name", OFFERS)
def test_the_answer_keeps_the_clients_extension_ids_and_adds_none(name):
    offered = {
        (media.mid, extension.id, extension.uri)
        for media in parse(OFFERS[name]).media
        for extension in media.extensions
    }
    answered = {
        (media.mid, extension.id, extension.uri)
        for media in parse(answer_to(OFFERS[name])).media
        for extension in media.extensions
    }
    assert answered <= offered
    assert any("sdes:mid" in uri for _, _, uri in answered)
    assert not any("csrc-audio-level" in uri for _, _, uri in answered)


@pytest.mark.parametrize("name", [CHROMIUM_SIMULCAST, FIREFOX_SIMULCAST])
def test_simulcast_is_answered_with_the_same_rids_to_receive(name):
    offer, live = negotiate(OFFERS[name])
    answer = build_uplink_answer(offer, live, LOCAL, ORIGIN)
    assert "a=simulcast:recv q;h;f\r\n" in answer
    assert [f"a=rid:{rid} recv\r\n" in answer for rid in "qhf"] == [True] * 3
    assert [e.rid for e in live["1"].encodings] == ["q", "h", "f"]
    assert Extension.RID in live["1"].extensions
    assert Extension.DEPENDENCY_DESCRIPTOR in live["1"].extensions


def test_an_extension_that_the_client_only_sends_is_answered_as_received():
    answer = answer_to(OFFERS[FIREFOX_SIMULCAST])
    assert "a=extmap:9/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n" in answer
    assert "playout-delay" not in answer


def test_a_single_encoding_is_known_by_its_ssrcs():
    _, live = negotiate(OFFERS[FIREFOX])
    (encoding,) = live["1"].encodings
    assert (encoding.ssrc, encoding.rtx_ssrc, encoding.rid) == (728_095_744, 1_145_962_580, None)


def test_feedback_is_what_both_sides_do():
    _, live = negotiate(OFFERS[CHROMIUM])
    assert live["0"].codec.feedback == {"transport-cc"}
    assert live["1"].codec.feedback == {"nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"}


@pytest.mark.parametrize(
    ("payload_type", "codec"),
    [("98", Codec.VP9), ("45", Codec.AV1), ("102", Codec.H264), ("100", Codec.VP9)],
)
def test_the_first_codec_in_the_clients_order_is_taken(payload_type, codec):
    _, live = negotiate(prefer(OFFERS[CHROMIUM], payload_type))
    assert live["1"].codec.codec is codec
    assert str(live["1"].codec.payload_type) == payload_type
    assert live["1"].codec.rtx_payload_type == int(payload_type) + 1


def test_h264_is_taken_in_packetization_mode_1_only():
    _, live = negotiate(prefer(OFFERS[CHROMIUM], "104"))
    assert live["1"].codec.payload_type != 104


def test_red_fec_tones_and_comfort_noise_are_never_answered():
    text = OFFERS[CHROMIUM]
    for number in ("63", "13", "110", "126", "9", "0", "8", "118", "120"):
        text = prefer(text, number)
    answer = answer_to(text).lower()
    assert not any(name in answer for name in ("red/", "ulpfec", "telephone", "cn/", "pcm", "g722"))


def test_feedback_of_payload_types_that_left_the_m_line_is_tolerated():
    text = OFFERS[FIREFOX]
    line = next(line for line in text.splitlines() if line.startswith("m=video"))
    text = text.replace(line, "m=video 9 UDP/TLS/RTP/SAVPF 120 124")
    text = "\n".join(x for x in text.split("\n") if not x.startswith("a=rtpmap:99"))
    assert "a=rtcp-fb:99" in text
    _, live = negotiate(text)
    assert live["1"].codec.codec is Codec.VP8


def test_other_media_is_rejected_and_media_of_no_stream_is_inactive():
    text = OFFERS[CHROMIUM].replace("BUNDLE 0 1", "BUNDLE 0 1 2")
    text += (
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
        "a=mid:2\r\na=sctp-port:5000\r\n"
    )
    offer = read_uplink_offer(parse(text))
    live = {"0": choose(offer, "0", MediaKind.AUDIO)}
    answer = parse(build_uplink_answer(offer, live, LOCAL, ORIGIN))
    assert [media.port for media in answer.media] == [9, 9, 0]
    assert [media.direction for media in answer.media] == ["recvonly", "inactive", "inactive"]
    assert answer.bundle == ("0", "1")
    assert [media.mid for media in answer.media] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("a=setup:actpass", "a=setup:holdconn"), "setup_invalid"),
        (("a=setup:actpass", "a=x"), "setup_invalid"),
        (("a=fingerprint:sha-256", "a=fingerprint:sha-1"), "fingerprint_unsupported"),
        (("a=fingerprint:", "a=x:"), "fingerprint_unsupported"),
        (("a=ice-ufrag:", "a=x:"), "sdp_invalid"),
        (("a=ice-ufrag:", "a=ice-ufrag:\u20ac"), "sdp_invalid"),
        (("a=ice-ufrag:", "a=ice-ufrag:a b"), "sdp_invalid"),
        (("a=ice-pwd:", "a=ice-pwd:" + "\u20ac" * 22), "sdp_invalid"),
        (("a=ice-pwd:", "a=ice-pwd:\u0669"), "sdp_invalid"),
        (("a=group:BUNDLE 0 1", "a=x"), "sdp_invalid"),
        (("a=group:BUNDLE 0 1", "a=group:BUNDLE 0"), "sdp_invalid"),
        (("a=rtcp-mux", "a=x"), "sdp_invalid"),
        (("a=mid:1", "a=mid:0"), "sdp_invalid"),
        (("a=mid:1", "a=mid:a b"), "sdp_invalid"),
        (("a=mid:1", "a=mid:" + "x" * 17), "sdp_invalid"),
        (("a=sendrecv", "a=recvonly"), "track_unknown"),
        (("m=video 9", "m=video 0"), "track_unknown"),
        (("m=video", "m=text"), "track_unknown"),
        (("VP8/90000", "VP8/8000"), None),
        (("opus/48000/2", "opus/8000/1"), "codec_unsupported"),
        (("a=extmap:14 ", "a=extmap:4 "), "sdp_invalid"),
        (("a=rtpmap:96 ", "a=rtpmap:296 "), "sdp_invalid"),
        (("a=rtpmap:96 ", "a=rtpmap:-1 "), "sdp_invalid"),
        (("a=rtpmap:96 ", "a=rtpmap:\u0669 "), "sdp_invalid"),
        (("v=0", "v=1"), "sdp_invalid"),
    ],
)
def test_an_offer_that_cannot_be_answered_is_refused_with_its_code(change, code):
    text = OFFERS[CHROMIUM].replace(*change)
    assert text != OFFERS[CHROMIUM]
    if code is None:
        negotiate(text)
    else:
        assert refusal(negotiate, text) == code


def test_one_ssrc_on_two_m_lines_is_refused():
    text = OFFERS[FIREFOX]
    assert refusal(negotiate, text.replace("728095744", "2298793032")) == "ssrc_conflict"


def test_an_m_line_of_a_stream_that_goes_on_must_stay():
    _, live = negotiate(OFFERS[CHROMIUM])
    stopped = read_uplink_offer(parse(OFFERS[CHROMIUM].replace("m=video 9", "m=video 0")))
    assert refusal(check_kept, stopped, live) == "sdp_invalid"
    check_kept(read_uplink_offer(parse(OFFERS[CHROMIUM])), live)


def test_format_values_that_could_write_lines_or_lists_are_not_carried_on():
    text = OFFERS[CHROMIUM].replace("profile-id=0", "profile-id=0<script>")
    _, live = negotiate(prefer(text, "98"))
    assert stream_format(live["1"]).parameters == ()


# --- encoders -------------------------------------------------------------------------------

ENCODER = (VECTORS / "encoder-dtls-passive.sdp").read_text()


def test_an_encoder_that_insists_on_being_the_dtls_server_is_answered_as_its_client():
    offer = read_uplink_offer(parse(ENCODER))
    assert offer.remote.setup == "passive"
    live = {"1": choose(offer, "1", MediaKind.VIDEO)}
    text = build_uplink_answer(offer, live, replace(LOCAL, answered_setup="active"), ORIGIN)
    assert {media.transport.setup for media in parse(text).media} == {"active"}


@pytest.mark.parametrize("name", ["opus/48000", "OPUS/48000", "opus/48000/2"])
def test_opus_is_opus_whatever_is_said_of_its_channels(name):
    offer = read_uplink_offer(parse(ENCODER.replace("opus/48000/2", name)))
    assert choose(offer, "0", MediaKind.AUDIO).codec.codec is Codec.OPUS


def test_h264_without_parameters_is_taken_and_receivers_learn_the_usual_ones():
    bare = re.sub(r"a=fmtp:106[^\r\n]*\r?\n", "", ENCODER)
    media = choose(read_uplink_offer(parse(bare)), "1", MediaKind.VIDEO)
    assert media.codec.codec is Codec.H264
    reported = dict(stream_format(media).parameters)
    assert reported["packetization-mode"] == "1"
    assert reported["profile-level-id"] == "42e01f"


def test_of_two_h264_formats_the_one_that_names_its_mode_is_taken():
    lines = ["a=rtpmap:107 H264/90000", "a=fmtp:107 packetization-mode=1;profile-level-id=42e01f"]
    bare = re.sub(r"a=fmtp:106[^\r\n]*", "\r\n".join(lines), ENCODER).replace("106 105", "106 107")
    assert choose(read_uplink_offer(parse(bare)), "1", MediaKind.VIDEO).codec.payload_type == 107


def test_h264_that_names_mode_0_is_not_forwarded():
    single = ENCODER.replace("packetization-mode=1", "packetization-mode=0")
    assert (
        refusal(lambda text: choose(read_uplink_offer(parse(text)), "1", MediaKind.VIDEO), single)
        == "codec_unsupported"
    )


# --- what the core is told ------------------------------------------------------------------


def test_an_up_track_carries_what_was_negotiated():
    _, live = negotiate(OFFERS[CHROMIUM_SIMULCAST])
    up_track = up_track_parameters(live["1"], (b"12345678",))
    assert (up_track.mid, up_track.codec, up_track.payload_type) == ("1", Codec.VP8, 96)
    assert (up_track.rtx_payload_type, up_track.clock_rate_hz, up_track.nack) == (97, 90_000, True)
    assert up_track.extensions[Extension.MID] == 4
    assert up_track.declared_kids == (b"12345678",)
    audio = up_track_parameters(live["0"], ())
    assert (audio.rtx_payload_type, audio.clock_rate_hz, audio.nack) == (None, 48_000, False)


def test_the_dependency_descriptor_is_carried_on_for_one_encoding_only():
    _, live = negotiate(OFFERS[CHROMIUM_SIMULCAST])
    assert Extension.DEPENDENCY_DESCRIPTOR not in stream_format(live["1"]).extensions
    single = OFFERS[CHROMIUM_SIMULCAST].replace("a=simulcast:send q;h;f", "a=x")
    _, live = negotiate(single)
    assert Extension.DEPENDENCY_DESCRIPTOR in stream_format(live["1"]).extensions
