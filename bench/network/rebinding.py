"""A NAT that gives a client other ports: what a server sees, and a client does not. Pure."""

import struct
from dataclasses import dataclass

_UDP = 17
_IPV4 = 4
_PORTS = 1 << 16
_CHECKSUM_AT = 6


@dataclass(slots=True)
class Rebinding:
    """`shift`: by how much the ports outside are higher than the client's own. 0: no NAT.

    UDP over IPv4 alone is shifted: a TCP connection does not outlive such a change anyway.
    """

    shift: int = 0

    def outward(self, packet: bytes) -> bytes:
        """A client's packet as it leaves."""
        return _moved(packet, 0, self.shift) if self.shift else packet

    def inward(self, packet: bytes) -> bytes:
        """A packet to the client as it arrives. Sent to a port of before, it comes to none."""
        return _moved(packet, 2, -self.shift) if self.shift else packet


def _moved(packet: bytes, at: int, shift: int) -> bytes:
    if not packet or packet[0] >> 4 != _IPV4 or packet[9] != _UDP:
        return packet
    header = (packet[0] & 15) * 4
    if len(packet) < header + 8:
        return packet
    moved = bytearray(packet)
    (port,) = struct.unpack_from("!H", packet, header + at)
    struct.pack_into("!H", moved, header + at, (port + shift) % _PORTS)
    # No checksum (RFC 768): the ports are part of it.
    struct.pack_into("!H", moved, header + _CHECKSUM_AT, 0)
    return bytes(moved)
