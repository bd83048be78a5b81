"""The hostile server's media: ICE lite, DTLS and SRTP of one transport, and RTP as plain packets.

Each packet passes through Python in clear of SRTP: it can be kept, changed, sent again, sent to
somebody else, or made up.
"""

import asyncio
import contextlib
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import ifaddr
from aioice import stun
from aiortc import RTCCertificate, RTCDtlsTransport
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters

HOST = "127.0.0.1"


def addresses() -> list[str]:
    """Of this machine, loopback among them: Firefox has no candidate on the loopback interface
    where there is another."""
    found = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    return [HOST, *(ip for ip in found if isinstance(ip, str) and ip != HOST)]


CERTIFICATE = RTCCertificate.generateCertificate()
FINGERPRINT = next(f.value for f in CERTIFICATE.getFingerprints() if f.algorithm == "sha-256")


@dataclass(frozen=True, slots=True)
class Rtp:
    """A packet as the server sees and makes it."""

    payload_type: int
    number: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False
    extensions: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes) -> "Rtp":
        """Errors: ValueError for what is no RTP."""
        if len(data) < 12 or data[0] >> 6 != 2:
            raise ValueError("not RTP")
        number, timestamp, ssrc = struct.unpack("!HII", data[2:12])
        at = 12 + 4 * (data[0] & 0x0F)
        found: dict[int, bytes] = {}
        if data[0] & 0x10:
            profile, words = struct.unpack("!HH", data[at : at + 4])
            found = _extensions(profile, data[at + 4 : at + 4 + 4 * words])
            at += 4 + 4 * words
        end = len(data) - (data[-1] if data[0] & 0x20 else 0)
        marker, kind = bool(data[1] & 0x80), data[1] & 0x7F
        return cls(kind, number, timestamp, ssrc, data[at:end], marker, found)

    def pack(self) -> bytes:
        first = 0x90 if self.extensions else 0x80
        second = self.payload_type | (0x80 if self.marker else 0)
        head = struct.pack(
            "!BBHII",
            first,
            second,
            self.number & 0xFFFF,
            self.timestamp & 0xFFFFFFFF,
            self.ssrc & 0xFFFFFFFF,
        )
        if not self.extensions:
            return head + self.payload
        body = b"".join(
            bytes([number << 4 | len(value) - 1]) + value
            for number, value in self.extensions.items()
        )
        body += bytes(-len(body) % 4)
        return head + struct.pack("!HH", 0xBEDE, len(body) // 4) + body + self.payload

    def but(self, **changes: object) -> "Rtp":
        return replace(self, **changes)


def _extensions(profile: int, data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        if data[at] == 0:
            at += 1
            continue
        if profile == 0xBEDE:
            number, length, at = data[at] >> 4, (data[at] & 0x0F) + 1, at + 1
        elif at + 1 < len(data):
            number, length, at = data[at], data[at + 1], at + 2
        else:
            break
        found[number] = data[at : at + length]
        at += length
    return found


class LiteIce(asyncio.DatagramProtocol):
    """Answers checks, and gives aiortc's DTLS the datagrams of whoever checked last."""

    role = "controlled"
    state = "completed"

    def __init__(self) -> None:
        self.renew()
        self.port = 0
        self.answers: Callable[[], bool] = lambda: True
        """Asked for each check."""
        self._socket: asyncio.DatagramTransport | None = None
        self._peer: tuple[str, int] | None = None
        self._arrived: asyncio.Queue[bytes | None] = asyncio.Queue()

    def renew(self) -> None:
        self.ufrag, self.password = secrets.token_hex(4), secrets.token_hex(16)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._socket, _ = await loop.create_datagram_endpoint(lambda: self, ("0.0.0.0", 0))
        self.port = self._socket.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data and data[0] > 3:
            self._arrived.put_nowait(data)
            return
        with contextlib.suppress(ValueError):
            request = stun.parse_message(data)
            if request.message_class is not stun.Class.REQUEST or not self.answers():
                return
            answer = stun.Message(
                message_method=stun.Method.BINDING,
                message_class=stun.Class.RESPONSE,
                transaction_id=request.transaction_id,
            )
            answer.attributes["XOR-MAPPED-ADDRESS"] = addr
            answer.add_message_integrity(self.password.encode())
            answer.add_fingerprint()
            self._peer = addr
            self._socket.sendto(bytes(answer), addr)

    def send(self, data: bytes) -> None:
        if self._socket is not None and self._peer is not None:
            self._socket.sendto(data, self._peer)

    async def _send(self, data: bytes) -> None:
        self.send(data)

    async def _recv(self) -> bytes:
        data = await self._arrived.get()
        if data is None:
            raise ConnectionError
        return data

    def close(self) -> None:
        self._arrived.put_nowait(None)
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Transport:
    """One peer connection's other end. `on_rtp` and `on_rtcp` get what came, without SRTP."""

    def __init__(self, on_rtp: Callable[[Rtp], None]) -> None:
        self.ice = LiteIce()
        self.is_connected = asyncio.Event()
        self._dtls = RTCDtlsTransport(self.ice, [CERTIFICATE])
        self._dtls._handle_rtp_data = self._take_rtp
        self._dtls._handle_rtcp_data = self._take_rtcp
        self._on_rtp = on_rtp
        self._task: asyncio.Task[None] | None = None
        self.on_rtcp: Callable[[bytes], None] = lambda _data: None

    async def open(self) -> "Transport":
        await self.ice.open()
        return self

    def start(self, fingerprint: str, role: str = "server") -> None:
        """Idempotent. `fingerprint`: the peer's, with its algorithm."""
        if self._task is None:
            self._task = asyncio.create_task(self._start(fingerprint, role))

    async def _start(self, fingerprint: str, role: str) -> None:
        self._dtls._set_role(role)
        algorithm, value = fingerprint.split()
        await self._dtls.start(RTCDtlsParameters([RTCDtlsFingerprint(algorithm, value)]))
        if self._dtls.state == "connected":
            self.is_connected.set()

    async def _take_rtp(self, data: bytes, arrival_time_ms: int = 0) -> None:
        with contextlib.suppress(ValueError):
            self._on_rtp(Rtp.parse(data))

    async def _take_rtcp(self, data: bytes) -> None:
        self.on_rtcp(data)

    def send(self, packet: Rtp) -> bool:
        """False: nobody is there yet."""
        if self.is_connected.is_set():
            self.ice.send(self._dtls._tx_srtp.protect(packet.pack()))
        return self.is_connected.is_set()

    def send_rtcp(self, data: bytes) -> None:
        if self.is_connected.is_set():
            self.ice.send(self._dtls._tx_srtp.protect_rtcp(data))

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError, AttributeError):
            await self._dtls.stop()
        self.ice.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def pli(media_ssrc: int) -> bytes:
    """Asks a sender for a key frame."""
    return struct.pack("!BBHII", 0x81, 206, 2, 1, media_ssrc)


def wants_key_frame(rtcp: bytes) -> bool:
    """Whether a compound packet holds a PLI or FIR."""
    at = 0
    while at + 4 <= len(rtcp):
        if rtcp[at + 1] == 206 and rtcp[at] & 0x1F in (1, 4):
            return True
        at += 4 + 4 * int.from_bytes(rtcp[at + 2 : at + 4], "big")
    return False
