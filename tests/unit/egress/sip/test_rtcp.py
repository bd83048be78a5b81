"""Reports about a call's packets, as another implementation reads them; in virtual time."""

import pytest
from aiortc import rtp as other

from sfu.egress.sip.rtcp import Reports
from sfu.egress.sip.rtp import Packet

OWN, THEIRS = 7, 9
S, RATE_HZ = 1_000_000, 8_000
UNIX_S = 1_795_240_000.25


def reports():
    return Reports(OWN, "abc", lambda: 0.5)


def packet(number: int, ssrc: int = THEIRS) -> Packet:
    return Packet(0, False, number & 0xFFFF, number * 160, ssrc, bytes(160))


def receive(one: Reports, numbers, ssrc: int = THEIRS, late_us: int = 0) -> None:
    for number in numbers:
        one.note_received(packet(number, ssrc), RATE_HZ, number * 20_000 + late_us * (number % 2))


def read(data: bytes) -> list:
    return other.RtcpPacket.parse(data)


def test_who_sends_says_how_much_and_when():
    one = reports()
    for _ in range(3):
        one.note_sent(160)
    sender, description = read(one.report(5 * S, UNIX_S, 40_000))
    assert isinstance(sender, other.RtcpSrPacket)
    info = sender.sender_info
    assert (sender.ssrc, info.packet_count, info.octet_count) == (OWN, 3, 480)
    assert info.rtp_timestamp == 40_000
    assert info.ntp_timestamp / 2**32 - 2_208_988_800 == pytest.approx(UNIX_S, abs=1e-3)
    assert sender.reports == []
    (chunk,) = description.chunks
    assert (chunk.ssrc, chunk.items) == (OWN, [(1, b"abc")])


def test_who_does_not_send_reports_what_came():
    one = reports()
    one.note_sent(160)
    one.report(0, UNIX_S, 0)
    receive(one, range(100))
    receiver, _ = read(one.report(5 * S, UNIX_S, 0))
    assert isinstance(receiver, other.RtcpRrPacket)
    (block,) = receiver.reports
    assert (block.ssrc, block.packets_lost, block.fraction_lost) == (THEIRS, 0, 0)
    assert (block.highest_sequence, block.jitter, block.lsr, block.dlsr) == (99, 0, 0, 0)


def test_what_is_lost_is_counted_since_the_beginning_and_since_the_last_report():
    one = reports()
    receive(one, (number for number in range(65_500, 65_600) if number % 4))
    (block,) = read(one.report(5 * S, UNIX_S, 0))[0].reports
    assert (block.packets_lost, block.fraction_lost) == (24, 62)
    assert block.highest_sequence == 65_599  # one round of numbers, and 63
    receive(one, range(65_600, 65_700))
    (block,) = read(one.report(10 * S, UNIX_S, 0))[0].reports
    assert (block.packets_lost, block.fraction_lost) == (24, 0)


def test_packets_that_come_twice_are_a_loss_below_zero():
    one = reports()
    receive(one, [*range(50), *range(50)])
    (block,) = read(one.report(5 * S, UNIX_S, 0))[0].reports
    assert (block.packets_lost, block.fraction_lost) == (-50, 0)


def test_jitter_is_that_of_rfc_3550():
    one = reports()
    receive(one, range(500), late_us=10_000)
    (block,) = read(one.report(5 * S, UNIX_S, 0))[0].reports
    assert block.jitter in (79, 80)  # each is 10 ms nearer or farther than the one before


def test_the_other_end_learns_how_long_its_report_was_here():
    one, two = reports(), Reports(THEIRS, "x", lambda: 0.5)
    receive(one, range(10))
    two.note_sent(160)
    sent = two.report(0, UNIX_S, 0)
    one.handle(sent, 2 * S)
    (block,) = read(one.report(3 * S, UNIX_S, 0))[0].reports
    ntp = read(sent)[0].sender_info.ntp_timestamp
    assert (block.lsr, block.dlsr) == (ntp >> 16 & 0xFFFF_FFFF, 65_536)
    assert one.received == 1


def test_a_source_that_begins_again_or_is_another_one_is_not_a_loss():
    one = reports()
    receive(one, range(100))
    receive(one, range(40_000, 40_100))
    assert read(one.report(5 * S, UNIX_S, 0))[0].reports[0].packets_lost == 0
    receive(one, range(7), ssrc=3)
    (block,) = read(one.report(5 * S, UNIX_S, 0))[0].reports
    assert (block.ssrc, block.packets_lost, block.highest_sequence) == (3, 0, 6)


def test_reports_are_due_some_seconds_apart_and_the_first_is_not_at_once():
    for random, seconds in ((0.0, 2.5), (0.5, 5.0), (0.999, 7.5)):
        one = Reports(OWN, "a", lambda random=random: random)
        times = [at / 10 for at in range(400) if one.due(at * S // 10)]
        assert times[0] == pytest.approx(seconds, abs=0.11)
        assert times[1] - times[0] == pytest.approx(seconds, abs=0.11)


def test_the_last_one_says_goodbye():
    *_, last = read(reports().goodbye(0, UNIX_S, 0))
    assert isinstance(last, other.RtcpByePacket)
    assert last.sources == [OWN]


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x80\xc8\x00\x06", b"\x00" * 28, b"\x80\xc8\xff\xff" + bytes(24)]
)
def test_what_is_no_report_is_left_alone(data):
    one = reports()
    one.handle(data, 0)
    assert one.received == 0
