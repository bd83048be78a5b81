"""A call with its audio, and the sockets of its process; in virtual time where there is time."""

import select
import socket
from itertools import count

import numpy as np
import pytest

from sfu.egress.sip import g711, messages, rtp
from sfu.egress.sip.leg import Leg, Limits
from sfu.egress.sip.media_socket import MediaSocket
from sfu.egress.sip.phone import Phone
from sfu.egress.sip.sdp import SUITES, Key, Local
from sfu.egress.sip.wire import Wire
from sfu.egress.sip_lines import CallLine, DigitLine, RedirectLine, SipEndLine
from tests.unit.egress.sip.peer import answer_to, form_of

MS, S = 1_000, 1_000_000
KEYS = tuple(Key(suite, b"k" * suite.key_bytes, str(n)) for n, suite in enumerate(SUITES, 1))
PEER = ("192.0.2.9", 5_060)


def sdp_of(*lines: str, host="192.0.2.9", port=4_000, profile="RTP/AVP") -> bytes:
    whole = ["v=0", f"c=IN IP4 {host}", f"m=audio {port} {profile} 0 101"]
    return "\r\n".join([*whole, "a=rtpmap:101 telephone-event/8000", *lines, ""]).encode()


class Line:
    def __init__(self, keys=(), no_media_s=300, max_s=3_600) -> None:
        numbers = count()
        self.now_us = 0
        self.leg = Leg(
            form_of(),
            Local("192.0.2.1", 30_000, 7, keys),
            Limits(no_media_s * S, max_s * S),
            Phone(1, 2, 0),
            lambda: f"t{next(numbers)}",
            0,
        )

    def sent(self) -> list:
        return [messages.parse(one.data) for one in self.leg.call.take_outgoing()]

    def say(self, message) -> None:
        self.leg.handle_message(message.encode(), PEER, self.now_us)

    def up(self, body: bytes) -> "Line":
        (self.invite,) = self.sent()
        self.say(answer_to(self.invite, 200, "OK", body))
        self.sent()
        return self

    def ask(self, method: str, number: int, body: bytes = b"", content: str = "") -> list:
        own = self.invite.headers
        pairs = [
            ("Via", f"SIP/2.0/UDP h;branch=z{method}{number}"),
            ("From", f"{own.get('to')};tag=them"),
            ("To", own.get("from")),
            ("Call-ID", own.get("call-id")),
            ("CSeq", f"{number} {method}"),
            ("Content-Type", content),
        ]
        headers = messages.Headers(pairs)
        self.say(messages.Request(headers, body, method=method, uri="sip:a@b"))
        return self.sent()

    def wait(self, seconds: float) -> None:
        self.now_us += int(seconds * S)
        self.leg.handle_time(self.now_us)

    def reports(self) -> list:
        return self.leg.take_reports()


def test_a_call_rings_is_answered_held_taken_up_again_and_hung_up():
    line = Line()
    (invite,) = line.sent()
    line.say(answer_to(invite, 180))
    line.say(answer_to(invite, 183))
    assert line.reports() == [CallLine("ringing")]
    line.invite = invite
    line.say(answer_to(invite, 200, "OK", sdp_of()))
    assert line.reports() == [CallLine("active")]
    assert line.leg.place == ("192.0.2.9", 4_000)
    line.ask("INVITE", 1, sdp_of("a=sendonly"))
    line.ask("ACK", 1)
    assert line.reports() == [CallLine("held")]
    (answer,) = line.ask("INVITE", 2, sdp_of(host="192.0.2.10"))
    assert b"a=sendrecv" in answer.body
    assert line.reports() == [CallLine("active")]
    assert line.leg.place == ("192.0.2.10", 4_000)
    line.ask("BYE", 3)
    assert line.reports() == [SipEndLine("closed")]


SDP = (("Content-Type", "application/sdp"),)


def loud(line, slot):
    """Whether the telephone hears a person of the session who speaks for 600 ms."""
    phone, packets = line.leg.phone, []
    if not phone.has_voice(1):
        phone.add_voice(1)
    wave = (0.5 * np.sin(np.arange(960) * 0.05)).astype(np.float32)
    for at in range(slot, slot + 30):
        phone.hear(1, at * 20 * MS, at * 20 * MS, wave)
        packets.append(line.leg.step(at)[0])
    silent = g711.encode("PCMU", np.zeros(160, np.float32))
    return any(rtp.read(one).payload != silent for one in packets if one is not None)


def test_a_telephone_is_heard_before_it_answers_and_hears_silence():
    line = Line()
    (invite,) = line.sent()
    line.say(answer_to(invite, 183, "", sdp_of(), extra=SDP))
    assert line.reports() == [CallLine("ringing"), CallLine("early")]
    assert line.leg.place == ("192.0.2.9", 4_000)
    assert not loud(line, 10)
    line.say(answer_to(invite, 180))
    line.say(answer_to(invite, 183, "", sdp_of(port=4_002), extra=SDP))
    assert line.reports() == []
    assert line.leg.place == ("192.0.2.9", 4_002)
    line.say(answer_to(invite, 200, "OK", sdp_of()))
    assert line.reports() == [CallLine("active")]
    assert loud(line, 100)


@pytest.mark.parametrize("body", [b"nonsense", sdp_of(port=0), sdp_of(profile="RTP/SAVP")])
def test_what_is_not_understood_before_the_answer_is_not_heard_and_ends_nothing(body):
    line = Line()
    (invite,) = line.sent()
    line.say(answer_to(invite, 183, "", body, extra=SDP))
    assert line.reports() == [CallLine("ringing")]
    line.say(answer_to(invite, 200, "OK", sdp_of()))
    assert line.reports() == [CallLine("active")]


def test_an_answer_without_a_description_means_the_one_before_it():
    line = Line()
    (invite,) = line.sent()
    line.say(answer_to(invite, 183, "", sdp_of(), extra=SDP))
    line.say(answer_to(invite, 200, "OK"))
    assert [type(one) for one in line.reports()] == [CallLine] * 3
    assert not line.leg.is_leaving


def test_a_refusal_is_passed_on_in_printable_words():
    line = Line()
    (invite,) = line.sent()
    line.say(answer_to(invite, 486, "Busy \x07Here" + "!" * 500))
    (end,) = line.reports()
    assert (end.how, end.status, end.reason[:9], len(end.reason)) == (
        "refused",
        486,
        "Busy Here",
        200,
    )


@pytest.mark.parametrize("body", [b"", b"nonsense", sdp_of(port=0), sdp_of(profile="RTP/SAVP")])
def test_an_answer_that_does_not_suit_ends_the_call(body):
    line = Line()
    (line.invite,) = line.sent()
    line.say(answer_to(line.invite, 200, "OK", body))
    ack, bye = line.sent()
    assert (ack.method, bye.method) == ("ACK", "BYE")
    line.say(answer_to(bye, 200))
    assert line.reports() == [SipEndLine("refused", 488, "Not Acceptable Here")]


def test_a_secure_call_takes_no_plain_answer():
    line = Line(KEYS)
    (invite,) = line.sent()
    assert b"RTP/SAVP" in invite.body
    line.say(answer_to(invite, 200, "OK", sdp_of()))
    assert [one.method for one in line.sent()] == ["ACK", "BYE"]


def test_the_keys_of_a_secure_call():
    key = "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40
    line = Line(KEYS).up(sdp_of(key, profile="RTP/SAVP"))
    own, theirs = line.leg.keys
    assert (own, theirs.material) == (KEYS[0], b"\0" * 30)


def test_an_offer_that_does_not_suit_changes_nothing():
    line = Line().up(sdp_of())
    line.reports()
    (answer,) = line.ask("INVITE", 1, sdp_of(port=0))
    assert answer.status == 488
    assert line.leg.place == ("192.0.2.9", 4_000)
    assert line.reports() == []


def packet_of(kind: int, payload: bytes, at: int = 0) -> bytes:
    return rtp.write(rtp.Packet(kind, False, 0, at, 9, payload))


def test_a_telephone_that_sends_nothing_is_hung_up_and_a_held_one_is_not():
    line = Line(no_media_s=10).up(sdp_of())
    line.wait(9)
    line.leg.handle_packet(packet_of(0, b"\xff" * 160), line.now_us)
    line.wait(9)
    line.ask("INVITE", 1, sdp_of("a=sendonly"))
    line.ask("ACK", 1)
    line.wait(100)
    line.ask("INVITE", 2, sdp_of())
    line.ask("ACK", 2)
    line.reports()
    line.wait(9)
    assert line.sent() == []
    line.wait(2)
    (bye,) = line.sent()
    line.say(answer_to(bye, 200))
    assert line.reports() == [SipEndLine("silent")]


def test_a_call_that_is_too_long_is_hung_up():
    line = Line(max_s=60, no_media_s=1_000).up(sdp_of())
    line.reports()
    line.wait(61)
    (bye,) = line.sent()
    line.say(answer_to(bye, 200))
    assert line.reports() == [SipEndLine("too_long")]


def test_digits_come_as_events_and_by_info_and_not_faster_than_a_human():
    line = Line().up(sdp_of())
    line.reports()
    for at, code in enumerate((1, 2)):
        line.leg.handle_packet(packet_of(101, bytes([code, 10, 0, 160]), at), line.now_us)
    assert line.reports() == [DigitLine("1")]
    line.wait(1)
    line.ask("INFO", 1, b"Signal= 5\r\nDuration=160\r\n", "application/dtmf-relay")
    line.wait(1)
    line.ask("INFO", 2, b"#", "application/dtmf")
    line.wait(1)
    line.ask("INFO", 3, b"5", "text/plain")
    line.ask("INFO", 4, b"hello", "application/dtmf")
    assert line.reports() == [DigitLine("5"), DigitLine("#")]


def test_a_telephone_without_events_gets_digits_by_info_one_after_the_other():
    line = Line().up(sdp_of().replace(b"telephone-event", b"other"))
    line.leg.phone.press("5p#")
    bodies = []
    for _ in range(40):
        line.wait(0.05)
        for one in line.sent():
            bodies.append((line.now_us // MS, one.body.split(b"\r")[0]))
            line.say(answer_to(one, 200))
    assert [body for _, body in bodies] == [b"Signal=5", b"Signal=#"]
    assert bodies[1][0] - bodies[0][0] >= 750


def test_a_redirection_is_the_servers_business():
    line = Line()
    (invite,) = line.sent()
    line.say(answer_to(invite, 302, extra=(("Contact", "<sip:bo@192.0.2.3>"),)))
    assert line.reports() == [RedirectLine("sip:bo@192.0.2.3")]
    assert line.leg.is_over


def test_a_lost_connection_ends_the_call():
    line = Line().up(sdp_of())
    line.reports()
    line.leg.lose()
    assert [one.how for one in line.reports()] == ["lost"]


# --- sockets ---------------------------------------------------------------------------------


def udp() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(2)
    return made


@pytest.fixture
def sockets():
    made = [udp() for _ in range(3)]
    yield made
    for one in made:
        one.close()


def received(media: MediaSocket) -> list[bytes]:
    select.select([media], [], [], 2)
    return media.read()


def test_packets_go_where_the_description_says_and_then_to_where_they_come_from(sockets):
    own, described, behind_nat = sockets
    media = MediaSocket(own, "127.0.0.1")
    assert not media.send(b"x")
    media.set_place(described.getsockname())
    assert media.send(b"1")
    assert described.recv(99) == b"1"
    behind_nat.sendto(b"2", own.getsockname())
    assert received(media) == [b"2"]
    media.send(b"3")
    assert behind_nat.recv(99) == b"3"
    described.sendto(b"4", own.getsockname())
    assert received(media) == [b"4"]
    media.send(b"5")
    assert behind_nat.recv(99) == b"5"
    media.set_place(None)


def test_packets_of_strangers_are_counted_and_not_taken(sockets):
    own, stranger, _ = sockets
    media = MediaSocket(own, "192.0.2.9")
    media.set_place(("192.0.2.8", 4_000))
    stranger.sendto(b"x", own.getsockname())
    assert received(media) == []
    assert media.ignored == 1


def test_a_secure_call_takes_what_has_its_key_and_sends_it_so(sockets):
    own, peer, _ = sockets
    media, other = MediaSocket(own, "127.0.0.1"), MediaSocket(peer, "127.0.0.1")
    media.set_keys(KEYS[0], KEYS[0])
    other.set_keys(KEYS[0], KEYS[0])
    media.set_place(peer.getsockname())
    other.set_place(own.getsockname())
    packet = packet_of(0, b"a" * 160)
    media.send(packet)
    assert received(other) == [packet]
    peer.sendto(packet, own.getsockname())
    assert received(media) == []


def test_a_wire_of_datagrams_and_one_of_a_connection(sockets):
    own, peer, _ = sockets
    wire = Wire(own, peer.getsockname())
    wire.send(b"one")
    data, source = peer.recvfrom(99)
    peer.sendto(b"\r\n\r\n", source)
    peer.sendto(b"two", source)
    found: list = []
    while not found:
        found = wire.read()
    assert (data, found) == (b"one", [(b"two", peer.getsockname())])
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = Wire(ours, ("192.0.2.9", 5_060))
        wire.send(b"hello")
        assert theirs.recv(99) == b"hello"
        theirs.sendall(b"x" * 10)
        assert wire.read() == []
        theirs.close()
        wire.read()
        assert wire.is_lost
