"""The sockets of a call for RTP and RTCP: where packets go, and whose are taken; the addresses are
decided by the server."""

import ipaddress
import socket

from sfu.egress.sip.dialog import Place
from sfu.egress.sip.sdp import Key
from sfu.egress.sip.srtp import Opener, Sealer

_MAX_PACKET_BYTES = 2_048
PACKETS_AT_ONCE = 100


class MediaSocket:
    """Packets come from the address in the description of the call or from that of its signalling:
    a telephone behind a NAT is there. The first of them says which port (once for each
    description). `has_reports`: RTCP, not RTP."""

    def __init__(
        self, connection: socket.socket, signalling_host: str, *, has_reports: bool = False
    ) -> None:
        self._has_reports = has_reports
        self._socket = connection
        self._socket.setblocking(False)
        self._signalling_host = _plain(signalling_host)
        self._place: Place | None = None
        self._described: Place | None = None
        self._is_latched = False
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self.unsent = 0
        self.ignored = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def set_keys(self, own: Key, theirs: Key) -> None:
        self._sealer, self._opener = Sealer(own), Opener(theirs)

    def set_place(self, place: Place | None) -> None:
        """Where the description says that packets go; None: nowhere that may be reached."""
        if place != self._described:
            self._described = self._place = place
            self._is_latched = False

    def send(self, packet: bytes) -> bool:
        """Whether it went out."""
        if self._place is None:
            return False
        try:
            self._socket.sendto(self._sealed(packet), self._place)
        except OSError:
            self.unsent += 1
            return False
        return True

    def _sealed(self, packet: bytes) -> bytes:
        if self._sealer is None:
            return packet
        seal = self._sealer.seal_report if self._has_reports else self._sealer.seal
        return seal(packet)

    def _opened(self, data: bytes) -> bytes | None:
        if self._opener is None:
            return data
        unseal = self._opener.open_report if self._has_reports else self._opener.open
        return unseal(data)

    def read(self) -> list[bytes]:
        """The packets that have come, opened."""
        found = []
        for _ in range(PACKETS_AT_ONCE):
            try:
                data, source = self._socket.recvfrom(_MAX_PACKET_BYTES)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue
            packet = self._open(data, (source[0], source[1]))
            if packet is None:
                self.ignored += 1
            else:
                found.append(packet)
        return found

    def _open(self, data: bytes, source: Place) -> bytes | None:
        if not self._is_known(source):
            return None
        packet = self._opened(data)
        if packet is not None and not self._is_latched:
            self._is_latched = True
            self._place = source
        return packet

    def _is_known(self, source: Place) -> bool:
        host = _plain(source[0])
        described = None if self._described is None else _plain(self._described[0])
        return host in (self._signalling_host, described)


def _plain(host: str) -> str:
    """Without the form that IPv4 has in an IPv6 socket."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
