"""The NAT of `make bench-network`."""

import struct

from bench.network.rebinding import Rebinding


def datagram(source: int, target: int, protocol: int = 17) -> bytes:
    head = bytes([0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, *bytes(10)])
    return head + struct.pack("!HHHH", source, target, 12, 0xABCD) + b"data"


def ports(packet: bytes) -> tuple[int, int]:
    source, target = struct.unpack_from("!HH", packet, 20)
    return source, target


def test_a_clients_ports_are_shifted_outside_and_shifted_back_inside():
    nat = Rebinding(7)
    left = nat.outward(datagram(5_000, 10_000))
    assert ports(left) == (5_007, 10_000)
    assert ports(nat.inward(datagram(10_000, 5_007))) == (10_000, 5_000)
    assert left[26:28] == bytes(2), "the checksum of other ports is left out"


def test_answers_to_the_ports_of_before_do_not_reach_the_client():
    nat = Rebinding(1)
    nat.shift = 2
    assert ports(nat.inward(datagram(10_000, 5_001))) != (10_000, 5_000)


def test_without_a_shift_and_for_other_protocols_packets_stay_as_they_are():
    packet, connected = datagram(5_000, 10_000), datagram(5_000, 10_000, protocol=6)
    assert Rebinding().outward(packet) is packet
    assert Rebinding(3).outward(connected) is connected
    assert Rebinding(3).inward(b"") == b""
