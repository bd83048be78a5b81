"""The audio of a call: descriptions, packets, codecs; in virtual time."""

import itertools
import os

import numpy as np
import pytest

from sfu.egress.audio.g722 import G722Codec
from sfu.egress.audio.opus import UndecodableError
from sfu.egress.audio.pace import SLOT_US
from sfu.egress.sip import g711, rtp, sdp
from sfu.egress.sip.phone import Phone, codec_of
from sfu.egress.sip.rtp import EventEar, Keypad, Packet
from sfu.egress.sip.sdp import G722, OPUS, PCMA, PCMU, SUITES, Key, Local, Remote, SdpError
from sfu.egress.sip.srtp import Opener, Sealer

KEYS = tuple(Key(suite, bytes(suite.key_bytes), str(n)) for n, suite in enumerate(SUITES, 1))
PLAIN = Local("192.0.2.1", 30_000, 7)
SECURE = Local("192.0.2.1", 30_000, 7, KEYS)
VOICE = 5
BLOCK = 960


def described(*lines: str, media: str = "audio 4000 RTP/AVP 0 101") -> bytes:
    whole = ["v=0", "o=- 1 1 IN IP4 192.0.2.9", "s=-", "c=IN IP4 192.0.2.9", "t=0 0", f"m={media}"]
    return "\r\n".join([*whole, "a=rtpmap:101 telephone-event/8000", *lines, ""]).encode()


def test_an_offer_has_all_codecs_and_digits_at_both_clocks():
    lines = PLAIN.offer(1).decode().split("\r\n")
    assert "m=audio 30000 RTP/AVP 96 9 0 8 101 102" in lines
    assert "a=rtpmap:96 opus/48000/2" in lines
    assert {"a=rtpmap:101 telephone-event/48000", "a=rtpmap:102 telephone-event/8000"} <= set(lines)
    assert not [line for line in lines if "crypto" in line]


def test_our_own_offer_is_understood():
    remote = sdp.read(SECURE.offer(1), secure=True)
    assert (remote.host, remote.port, remote.codec.name) == ("192.0.2.1", 30_000, "opus")
    assert remote.key == KEYS[0]
    assert (remote.sends, remote.hears) == (True, True)


def test_the_first_codec_that_is_known_is_taken_and_the_one_in_use_before_it():
    body = described("a=rtpmap:111 opus/48000/2", media="audio 4000 RTP/AVP 18 8 111 0 101")
    assert sdp.read(body, secure=False).codec.name == "PCMA"
    kept = sdp.read(body, secure=False, wanted=OPUS)
    assert (kept.codec.name, kept.codec.payload_type, kept.events) == ("opus", 111, None)
    assert kept.all_events == {101}


@pytest.mark.parametrize(
    ("lines", "sends", "hears", "answer"),
    [
        ([], True, True, "sendrecv"),
        (["a=sendonly"], True, False, "recvonly"),
        (["a=recvonly"], False, True, "sendonly"),
        (["a=inactive"], False, False, "inactive"),
        (["c=IN IP4 0.0.0.0"], False, False, "inactive"),
    ],
)
def test_hold_is_a_direction(lines, sends, hears, answer):
    remote = sdp.read(described(*lines), secure=False)
    assert (remote.sends, remote.hears) == (sends, hears)
    text = PLAIN.answer(2, remote, sdp.direction_to(remote)).decode()
    assert f"a={answer}\r\n" in text
    assert "m=audio 30000 RTP/AVP 0 101\r\n" in text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        described(media="audio 0 RTP/AVP 0"),
        described(media="audio 4000 RTP/AVP 18"),
        described(media="audio 4000 RTP/SAVP 0"),
        described(media="video 4000 RTP/AVP 0"),
        described().replace(b"c=IN", b"x=IN"),
        b"v=0\n" * 9_000,
    ],
)
def test_what_does_not_suit_is_refused(body):
    with pytest.raises(SdpError):
        sdp.read(body, secure=False)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:" + "A" * 40,
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "|2^20|1:4",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + " UNENCRYPTED_SRTP",
    ],
)
def test_without_a_key_that_is_understood_there_is_no_secure_call(line):
    with pytest.raises(SdpError, match="no key"):
        sdp.read(described(line, media="audio 4000 RTP/SAVP 0"), secure=True)


def test_the_answer_to_a_secure_offer_has_its_suite_and_tag():
    offer = SECURE.offer(1).replace(b"a=crypto:1 ", b"a=x:1 ").replace(b"crypto:2", b"crypto:7")
    remote = sdp.read(offer, secure=True)
    text = SECURE.answer(2, remote, "sendrecv").decode()
    assert next(one for one in text.split("\r\n") if "crypto" in one).startswith(
        "a=crypto:7 AEAD_AES_128_GCM inline:"
    )


@pytest.mark.parametrize("suite", SUITES)
def test_what_one_end_seals_the_other_opens_and_nobody_else(suite):
    key, other = (Key(suite, os.urandom(suite.key_bytes)) for _ in range(2))
    packet = rtp.write(Packet(0, False, 1, 160, VOICE, b"a" * 160))
    sealed = Sealer(key).seal(packet)
    opener = Opener(key)
    assert packet[12:] not in sealed
    assert opener.open(sealed) == packet
    assert opener.open(sealed) is None  # a second time
    assert Opener(other).open(sealed) is None
    assert repr(key) == f"Key({suite.name})"


def test_g722_has_what_is_above_the_band_of_g711():
    mouth, ear = G722Codec(), G722Codec()
    said = np.sin(2 * np.pi * 5_000 * np.arange(48_000) / 48_000).astype(np.float32) * 0.5
    packets = [mouth.encode(said[at : at + BLOCK]) for at in range(0, len(said), BLOCK)]
    assert {len(one) for one in packets} == {160}
    heard = np.concatenate([ear.decode(one) for one in packets])
    assert len(heard) == len(said)
    spectrum = np.abs(np.fft.rfft(heard[24_000:]))
    assert int(np.argmax(spectrum)) * 2 == 5_000
    assert np.max(np.abs(heard)) > 0.3


@pytest.mark.parametrize("data", [b"", bytes(961), bytes(8_000)])
def test_what_is_no_packet_of_g722_is_refused(data):
    with pytest.raises(UndecodableError):
        G722Codec().decode(data)


def test_a_description_may_name_g722_by_its_number_alone():
    found = sdp.read(described(media="audio 4000 RTP/AVP 9 0 101"), secure=False)
    assert (found.codec.name, found.codec.rate_hz, found.events) == ("G722", 8_000, 101)


@pytest.mark.parametrize("law", ["PCMU", "PCMA"])
def test_g711_is_within_a_step_of_what_was_said(law):
    said = np.sin(np.arange(8_000) / 5).astype(np.float32) * 0.8
    heard = g711.decode(law, g711.encode(law, said))
    assert np.max(np.abs(heard - said)) < 0.04
    assert np.max(np.abs(heard[np.abs(said) < 0.01] - said[np.abs(said) < 0.01])) < 0.001


def test_the_reference_codes_of_g711():
    assert g711.encode("PCMU", np.array([0, 1, -1], np.float32)) == b"\xff\x80\x00"
    assert g711.encode("PCMA", np.array([0.0001, 1, -1], np.float32)) == b"\xd5\xaa\x2a"


def test_rtp_packets_are_read_as_they_are_written():
    packet = Packet(101, True, 65_535, 2**32 - 1, 7, b"abc")
    assert rtp.read(rtp.write(packet)) == packet
    padded = bytes([0xB1, 0, *rtp.write(packet)[2:12], 0, 0, 0, 1])
    extended = padded + bytes([0xBE, 0xDE, 0, 1, 1, 2, 3, 4]) + b"hi" + bytes([0, 2])
    assert rtp.read(extended).payload == b"hi"


@pytest.mark.parametrize("data", [b"", b"\x80" * 11, b"\x00" * 20, b"\x80\xc8" + b"\0" * 20,
                                  b"\x90" + b"\0" * 11, b"\x8f" + b"\0" * 11])  # fmt: skip
def test_what_is_no_rtp(data):
    assert rtp.read(data) is None


def pressed(digits: str, slots: int) -> list:
    keypad = Keypad()
    keypad.press(digits)
    return [keypad.step() for _ in range(slots)]


def test_a_digit_is_100_ms_and_its_end_is_sent_three_times_and_then_it_rests():
    steps = pressed("5", 20)
    payloads = [part.payload(160) for part in steps if part]
    assert [one[0] for one in payloads] == [5] * 8
    assert [int.from_bytes(one[2:], "big") for one in payloads] == [
        160, 320, 480, 640, 800, 800, 800, 800,
    ]  # fmt: skip
    assert [bool(one[1] & 0x80) for one in payloads] == [False] * 5 + [True] * 3
    assert [part.is_first for part in steps if part] == [True] + [False] * 7


def test_digits_follow_each_other_with_rests_and_a_p_is_half_a_second():
    steps = pressed("1p2", 60)
    began = [at for at, part in enumerate(steps) if part and part.is_first]
    assert began == [0, 11 + 25]


def test_a_digit_that_is_pressed_is_told_once():
    ear, steps = EventEar(), pressed("77", 22)
    heard = [
        ear.hear(Packet(101, False, 0, at - part.begins_ago, 1, part.payload(160)))
        for at, part in enumerate(steps)
        if part
    ]
    assert [digit for digit in heard if digit] == ["7", "7"]
    assert ear.hear(Packet(101, False, 0, 0, 1, b"\xff\0\0\0")) is None
    assert ear.hear(Packet(101, False, 0, 0, 1, b"")) is None


class Table:
    """A telephone and what is sent to it, slot by slot."""

    def __init__(self, codec=PCMU, events: int | None = 101, hears=True, sends=True) -> None:
        self.phone = Phone(77, 1_000, 0)
        self.slot = 1_000
        self.remote = Remote("192.0.2.9", 4_000, codec, events, sends, hears, None,
                             frozenset({101}))  # fmt: skip
        self.phone.set_remote(self.remote, self.now_us)
        self.phone.add_voice(VOICE)

    @property
    def now_us(self) -> int:
        return self.slot * SLOT_US

    def step(self, voice: float = 0.0) -> tuple:
        at = np.arange(BLOCK) + self.slot * BLOCK
        samples = (np.sin(2 * np.pi * 600 * at / 48_000) * voice).astype(np.float32)
        self.phone.hear(VOICE, self.now_us, self.now_us, samples)
        self.slot += 1
        data, speech = self.phone.step(self.slot)
        return (None if data is None else rtp.read(data)), speech

    def says(self, payload: bytes, kind=0, at=None, number=0) -> str | None:
        at = self.slot * 160 if at is None else at
        return self.phone.handle_packet(
            rtp.write(Packet(kind, False, number, at, 9, payload)), self.now_us
        )


@pytest.mark.parametrize("codec", [PCMU, PCMA, G722, OPUS])
def test_a_packet_goes_out_every_20_ms_and_has_the_session_in_it(codec):
    table = Table(codec)
    packets = [table.step(0.5)[0] for _ in range(30)]
    packets = [one for one in packets if one is not None]
    assert len(packets) >= 29
    step = codec.rate_hz // 50
    assert {b.timestamp - a.timestamp for a, b in itertools.pairwise(packets)} == {step}
    assert {b.sequence - a.sequence for a, b in itertools.pairwise(packets)} == {1}
    assert (packets[0].marker, packets[1].marker, packets[0].ssrc) == (True, False, 77)
    if codec is not OPUS:
        assert len(packets[-1].payload) == 160
        mouth = codec_of(codec)
        heard = np.concatenate([mouth.decode(packet.payload) for packet in packets])
        assert np.max(np.abs(heard)) > 0.3


def test_silence_is_sent_as_well():
    table = Table()
    assert all(table.step()[0] is not None for _ in range(100))


def test_who_is_held_hears_nothing_and_is_not_heard_and_not_missed():
    table = Table(hears=False)
    table.says(b"\x80" * 160)
    assert all(table.step(0.5) == (None, None) for _ in range(50))
    assert table.phone.silent_us(table.now_us + 10**9) == 0


def test_what_the_telephone_says_is_heard_and_then_silence_ends_it():
    table, loud = Table(), 0
    tone = g711.encode("PCMU", np.sin(np.arange(160) / 3).astype(np.float32))
    for number in range(50):
        table.says(tone, number=number)
        _, speech = table.step()
        loud += speech is not None and float(np.max(np.abs(speech))) > 0.5
    assert loud > 40
    after = [table.step()[1] for _ in range(100)]
    assert sum(one is not None for one in after) < 25
    assert any(one is not None for one in after[-25:])


def test_a_muted_telephone_is_not_heard():
    table = Table()
    table.phone.is_muted = True
    for number in range(20):
        table.says(b"\x80" * 160, number=number)
        assert table.step()[1] is None


def test_digits_are_sent_in_the_place_of_audio_with_the_time_of_their_beginning():
    table = Table()
    table.step()
    table.phone.press("1")
    packets = [table.step()[0] for _ in range(12)]
    events = [one for one in packets if one.payload_type == 101]
    assert len(events) == 8
    assert len({one.timestamp for one in events}) == 1
    assert [one.marker for one in events] == [True] + [False] * 7
    assert packets[8].payload_type == 0
    assert packets[8].marker


def test_digits_of_the_telephone_are_told():
    table = Table()
    payload = pressed("4", 1)[0].payload(160)
    assert table.says(payload, kind=101) == "4"
    assert table.says(payload, kind=101) is None


@pytest.mark.parametrize(
    ("payload", "kind"), [(b"", 0), (b"x" * 2_000, 0), (b"x" * 160, 18), (b"x" * 160, 96)]
)
def test_what_is_no_audio_of_the_call_is_counted(payload, kind):
    table = Table()
    assert table.says(payload, kind) is None
    assert table.phone.ignored_packets == 1


def test_silence_of_the_packets_is_measured():
    table = Table()
    table.says(b"\xff" * 160)
    assert table.phone.silent_us(table.now_us + 5_000_000) == 5_000_000


def test_the_port_of_reports_is_the_next_one_or_the_one_that_is_named():
    assert sdp.read(described(), secure=False).rtcp_port == 4_001
    assert sdp.read(described("a=rtcp:53020 IN IP4 192.0.2.7"), secure=False).rtcp_port == 53_020
    for line in ("a=rtcp:0", "a=rtcp:70000", "a=rtcp:x"):
        assert sdp.read(described(line), secure=False).rtcp_port == 4_001
    last = described(media="audio 65535 RTP/AVP 0 101")
    assert sdp.read(last, secure=False).rtcp_port == 0
