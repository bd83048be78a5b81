"""The load clients' descriptions, read by the server's own negotiation."""

import pytest

from bench import sdp
from bench.sdp import LocalDescription
from sfu.sdp import negotiate, parse

LOCAL = LocalDescription("ufrag123", "p" * 32, ":".join(["AB"] * 32))

SERVER_OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        "a=group:BUNDLE 0 1",
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=ice-ufrag:srv",
        "a=ice-pwd:" + "q" * 24,
        "a=fingerprint:sha-256 " + ":".join(["CD"] * 32),
        "a=setup:actpass",
        "a=candidate:1 1 udp 2130706431 10.0.0.1 10000 typ host",
        "a=candidate:2 1 udp 2130706175 ::1 10000 typ host",
        "a=candidate:3 1 udp 2130705919 127.0.0.1 10000 typ host",
        "a=sendonly",
        "a=rtcp-mux",
        "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:96 transport-cc",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
        "a=ssrc:5 cname:x",
        "m=audio 0 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=mid:1",
        "a=inactive",
        "",
    ]
)


@pytest.mark.parametrize(("kind", "ssrc"), [("video", 0x1234), ("audio", 0x2345)])
def test_the_server_takes_the_offer_with_the_clients_own_ssrc(kind: str, ssrc: int) -> None:
    offer = sdp.uplink_offer(LOCAL, kind, ssrc)
    read = negotiate.read_uplink_offer(parse.parse(offer))
    encodings = read.candidates["0"].encodings
    assert [e.ssrc for e in encodings] == [ssrc]
    assert (encodings[0].rtx_ssrc is not None) == (kind == "video")


def test_an_answer_takes_what_is_offered_and_refuses_what_load_clients_do_not_speak() -> None:
    answer = parse.parse(sdp.downlink_answer(LOCAL, SERVER_OFFER))
    negotiate.remote_transport(answer, frozenset({"active"}))
    video, audio = answer.media
    assert (video.mid, video.rejected) == ("0", False)
    assert (audio.mid, audio.rejected) == ("1", True)
    assert list(answer.bundle) == ["0"]
    text = sdp.downlink_answer(LOCAL, SERVER_OFFER)
    assert "a=recvonly" in text
    assert "transport-" not in text
    assert "a=rtcp-fb:96 nack pli" in text


def test_ice_lite_servers_are_read_with_their_ipv4_addresses_in_order() -> None:
    remote = sdp.remote_description(SERVER_OFFER)
    assert (remote.ufrag, remote.password) == ("srv", "q" * 24)
    assert remote.fingerprints == (("sha-256", "cd" * 32),)
    assert remote.addresses == (("10.0.0.1", 10_000), ("127.0.0.1", 10_000))


@pytest.mark.parametrize("line", ["a=ice-ufrag:srv", "a=fingerprint:", "a=candidate:"])
def test_a_description_without_what_is_needed_is_refused(line: str) -> None:
    left = [one for one in SERVER_OFFER.split("\r\n") if not one.startswith(line)]
    with pytest.raises(ValueError, match="no "):
        sdp.remote_description("\r\n".join(left))
