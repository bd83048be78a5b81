"""Downlink offers: m-lines that are taken, answered, released and taken again."""

import pytest
from aiortc.sdp import SessionDescription as AiortcDescription

from sfu.core_api import Codec, Extension
from sfu.rtp_parameters import StreamFormat
from sfu.sdp.build import Origin
from sfu.sdp.errors import SdpError
from sfu.sdp.parse import Fingerprint, parse
from sfu.sdp.slots import DownlinkSlots
from tests.sdp_texts import LOCAL, ORIGIN, refusal

VIDEO = StreamFormat(Codec.VP8, (), frozenset({Extension.MID, Extension.VIDEO_ORIENTATION}), True)
AUDIO = StreamFormat(
    Codec.OPUS, (("minptime", "10"),), frozenset({Extension.MID, Extension.AUDIO_LEVEL}), False
)


def new_slots(limit=8):
    numbers = iter(range(1_000, 100_000))
    return DownlinkSlots(limit=limit, new_ssrc=lambda: next(numbers))


def answer_of(offer, *, setup="active", reject=(), change=lambda text: text):
    lines = ["v=0", "o=- 5 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    lines += [line for line in offer.splitlines() if line.startswith("a=group")]
    media = offer.split("\r\nm=")[1:]
    for index, section in enumerate(media):
        kept = [
            line
            for line in ("m=" + section).splitlines()
            if not line.startswith(("a=candidate", "a=end-of", "a=ssrc", "a=msid", "a=fingerprint"))
        ]
        kept.append("a=fingerprint:sha-256 " + ":".join(["AB"] * 32))
        text = "\r\n".join(kept)
        text = text.replace("a=sendonly", "a=recvonly").replace("actpass", setup)
        if str(index) in reject:
            text = text.replace(" 9 ", " 0 ", 1)
        lines.append(text)
    return change("\r\n".join(lines) + "\r\n")


def apply_answer(slots, number, text):
    answer = slots.read_answer(number, text)
    slots.settle(answer)
    return answer


def test_a_downlink_offer_is_read_by_another_parser():
    slots = new_slots()
    slots.take("u1", "st1", AUDIO)
    slots.take("u1", "st1", VIDEO)
    offer = AiortcDescription.parse(slots.offer(1, LOCAL, ORIGIN))
    audio, video = offer.media
    assert [m.direction for m in offer.media] == ["sendonly", "sendonly"]
    assert (audio.msid, video.msid) == ("u1 u1-audio", "u1 u1-video")
    assert audio.dtls.role == "auto"
    assert audio.ice.iceLite
    assert [g.items for g in video.ssrc_group] == [[1_001, 1_002]]
    assert {s.cname for s in [*audio.ssrc, *video.ssrc]} == {"st1"}
    assert len({c.payloadType for m in offer.media for c in m.rtp.codecs}) == 3


def test_two_subscriptions_to_one_stream_have_no_msid_in_common():
    slots = new_slots()
    slots.take("u1", "st1", VIDEO)
    slots.take("u2", "st1", VIDEO)
    offer = AiortcDescription.parse(slots.offer(1, LOCAL, ORIGIN))
    assert len({media.msid for media in offer.media}) == 2


def test_an_answer_gives_down_tracks_with_the_extensions_both_sides_have():
    slots = new_slots()
    slots.take("u1", "st1", AUDIO)
    slots.take("u1", "st1", VIDEO)
    text = answer_of(
        slots.offer(1, LOCAL, ORIGIN), change=lambda t: t.replace("a=extmap:3 ", "a=x:3 ")
    )
    applied = apply_answer(slots, 1, text)
    assert applied.remote.fingerprints == (Fingerprint("sha-256", b"\xab" * 32),)
    assert applied.down_tracks["0"].extensions == {Extension.MID, Extension.AUDIO_LEVEL}
    assert applied.down_tracks["1"].extensions == {Extension.MID}
    assert applied.down_tracks["1"].rtx_payload_type is not None


def test_a_slot_is_used_again_with_its_mid_and_ssrc_so_churn_does_not_grow_the_offer():
    slots = new_slots(limit=2)
    seen = set()
    for turn in range(1, 50):
        who = f"u{turn}"
        seen.add((slots.take(who, "st", AUDIO).ssrc, slots.take(who, "st", VIDEO).ssrc))
        offer = slots.offer(turn, LOCAL, Origin(1, turn))
        assert set(apply_answer(slots, turn, answer_of(offer)).down_tracks) == {"0", "1"}
        slots.release(who)
    assert len(seen) == 1
    assert len(slots) == 2


def test_a_released_slot_is_offered_inactive_without_a_stream():
    slots = new_slots()
    slots.take("u1", "st1", VIDEO)
    slots.release("u1")
    offer = slots.offer(1, LOCAL, ORIGIN)
    assert "a=inactive" in offer
    assert "st1" not in offer
    assert apply_answer(slots, 1, answer_of(offer)).down_tracks == {}


def test_a_slot_taken_after_the_offer_is_not_in_its_answer():
    slots = new_slots()
    slots.take("u1", "st1", VIDEO)
    answer = answer_of(slots.offer(1, LOCAL, ORIGIN))
    slots.release("u1")
    slots.take("u2", "st2", VIDEO)
    assert apply_answer(slots, 1, answer).down_tracks == {}
    assert set(apply_answer(slots, 2, answer_of(slots.offer(2, LOCAL, ORIGIN))).down_tracks) == {
        "0"
    }


def test_a_rejected_m_line_stays_rejected_and_the_others_work():
    slots = new_slots()
    slots.take("u1", "st1", AUDIO)
    slots.take("u1", "st1", VIDEO)
    answer = answer_of(slots.offer(1, LOCAL, ORIGIN), reject={"1"})
    assert set(apply_answer(slots, 1, answer).down_tracks) == {"0"}
    slots.release("u1")
    assert slots.take("u2", "st2", VIDEO).mid == "2"
    offer = parse(slots.offer(2, LOCAL, ORIGIN))
    assert [media.rejected for media in offer.media] == [False, True, False]
    assert offer.bundle == ("0", "2")


def test_the_limit_of_m_lines_is_kept():
    slots = new_slots(limit=1)
    slots.take("u1", "st1", AUDIO)
    assert refusal(slots.take, "u2", "st2", AUDIO) == "subscriptions_exhausted"


def test_a_subscription_for_which_there_is_not_enough_room_uses_nothing_up():
    slots = new_slots(limit=3)
    slots.take("u1", "st1", AUDIO)
    slots.take("u1", "st1", AUDIO)
    slots.release("u1")
    before = repr(vars(slots))
    crowd = [VIDEO, AUDIO, AUDIO, AUDIO]
    assert refusal(slots.take_all, "u2", "st2", crowd) == "subscriptions_exhausted"
    assert repr(vars(slots)) == before
    assert [slot.mid for slot in slots.take_all("u3", "st3", [AUDIO, VIDEO])] == ["0", "2"]


def test_payload_types_run_out_with_a_code_and_are_shared_by_equal_formats():
    slots = new_slots(limit=1_000)
    for number in range(30):
        slots.take(f"u{number}", "st", VIDEO)
    codes = []
    for number in range(40):
        odd = StreamFormat(Codec.H264, (("profile-level-id", str(number)),), frozenset(), True)
        try:
            slots.take("x", "st", odd)
        except SdpError as error:
            codes.append(error.code)
    assert set(codes) == {"subscriptions_exhausted"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda t: t.replace("a=setup:active", "a=setup:holdconn"), "setup_invalid"),
        (lambda t: t.replace("a=setup:active", "a=setup:actpass"), "setup_invalid"),
        (lambda t: t.replace("a=mid:1", "a=mid:9"), "sdp_invalid"),
        (lambda t: t.replace("VP8/", "VP9/"), "sdp_invalid"),
        (lambda t: t.replace("m=video", "m=audio"), "sdp_invalid"),
        (lambda t: t[: t.index("m=video")], "sdp_invalid"),
        (lambda t: t + t[t.index("m=video") :].replace("mid:1", "mid:2"), "sdp_too_large"),
        (lambda t: t.replace("a=fingerprint:sha-256", "a=x:"), "fingerprint_unsupported"),
        (lambda t: t.replace("a=group", "a=x"), "sdp_invalid"),
        (lambda t: "", "sdp_invalid"),
    ],
)
def test_an_answer_that_does_not_fit_its_offer_is_refused(change, code):
    slots = new_slots()
    slots.take("u1", "st1", AUDIO)
    slots.take("u1", "st1", VIDEO)
    answer = answer_of(slots.offer(1, LOCAL, ORIGIN), change=change)
    assert refusal(slots.read_answer, 1, answer) == code
