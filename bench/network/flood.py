"""`python -m bench.network.flood KIND`: a subscriber that asks for too much, in its namespace.

Reads the room as JSON from its input, joins, subscribes to one stream, and sends either PLIs or
NACKs at a fixed rate, properly authenticated. Prints what came back as JSON.
"""

import asyncio
import json
import secrets
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp
from aioice import stun

from bench.client import LoadClient
from bench.peer import TransportJob
from sfu._native import SrtpSession

PLIS_PER_S = 1_000
NACKS_PER_S = 600
"""Compounds; each names 17 numbers: 10,000 a second."""
_CHECK_EVERY_S = 2.0
_PLI, _RTPFB, _PSFB, _NACK, _REMB = 1, 205, 206, 1, 15
_OWN_SSRC = 7
_DATAGRAM_BYTES = 2_048


@dataclass(slots=True)
class Heard:
    """What came back, by SSRC, and the numbers of the busiest one."""

    packets: Counter[int] = field(default_factory=Counter)
    volume: Counter[int] = field(default_factory=Counter)
    recent: dict[int, deque[int]] = field(default_factory=dict)

    def take(self, packet: bytes) -> None:
        sequence, _, ssrc = struct.unpack_from("!HII", packet, 2)
        self.packets[ssrc] += 1
        self.volume[ssrc] += len(packet)
        self.recent.setdefault(ssrc, deque(maxlen=64)).append(sequence)

    def reset(self) -> None:
        self.packets.clear()
        self.volume.clear()


def _remb(ssrc: int, rate: int) -> bytes:
    """Any 24 bits of exponent and mantissa (draft-alvestrand-rmcat-remb-03 section 2.2)."""
    head = struct.pack("!BBHII4s", 0x80 | _REMB, _PSFB, 5, _OWN_SSRC, 0, b"REMB")
    return head + struct.pack("!II", 1 << 24 | rate, ssrc)


def signed_check(ice: dict[str, str]) -> bytes:
    """A nominating check of the client's side, from wherever it is sent."""
    request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{ice['remote_ufrag']}:{ice['local_ufrag']}"
    request.attributes["PRIORITY"] = 0x7EFF_FFFF
    request.attributes["ICE-CONTROLLING"] = 1
    request.attributes["USE-CANDIDATE"] = None
    request.add_message_integrity(ice["remote_password"].encode())
    return bytes(request)


class Flooder:
    def __init__(self, job: TransportJob) -> None:
        if job.srtp is None or job.ice is None:
            raise ValueError("a transport without keys")
        keys = job.srtp
        self._ice = job.ice
        self._send, self._receive = (
            SrtpSession(
                keys["profile"],
                bytes.fromhex(keys[f"{side}_key"]),
                bytes.fromhex(keys[f"{side}_salt"]),
            )
            for side in ("local", "remote")
        )
        self._socket = socket.socket(fileno=socket.dup(job.fd))
        self._socket.setblocking(False)
        self._next_check = 0.0
        self.heard = Heard()

    def run(self, seconds: float, per_s: float, kind: str) -> int:
        """Sends for `seconds`; returns how many compounds."""
        started = time.monotonic()
        sent = 0
        while (elapsed := time.monotonic() - started) < seconds:
            self._keep_consent()
            self._read()
            while sent < elapsed * per_s:
                sent += 1
                for compound in self._compounds(kind):
                    self._socket.send(self._send.protect_rtcp(compound))
            time.sleep(0.002)
        return sent

    def _compounds(self, kind: str) -> Iterator[bytes]:
        for ssrc, recent in self.heard.recent.items():
            if kind == "pli":
                yield struct.pack("!BBHII", 0x80 | _PLI, _PSFB, 2, _OWN_SSRC, ssrc)
            elif kind == "nack" and recent:
                first = recent[secrets.randbelow(len(recent))]
                head = struct.pack("!BBHII", 0x80 | _NACK, _RTPFB, 3, _OWN_SSRC, ssrc)
                yield head + struct.pack("!HH", first, 0xFFFF)
            elif kind == "remb":
                yield _remb(ssrc, secrets.choice((0, 0xFF_FFFF, secrets.randbits(24))))

    def _read(self) -> None:
        while True:
            try:
                datagram = self._socket.recv(_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            if datagram[0] < 4:
                self._answer(datagram)
                continue
            if not 128 <= datagram[0] <= 191 or 192 <= datagram[1] <= 223:
                continue
            try:
                self.heard.take(self._receive.unprotect_rtp(datagram))
            except ValueError:
                continue

    def _keep_consent(self) -> None:
        if time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + _CHECK_EVERY_S
        self._socket.send(signed_check(self._ice))

    def _answer(self, datagram: bytes) -> None:
        """A client that does not answer the server's checks gets no media from it."""
        password = self._ice["local_password"].encode()
        try:
            request = stun.parse_message(datagram)
        except ValueError:
            return
        if request.message_class is not stun.Class.REQUEST:
            return
        answer = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        answer.attributes["XOR-MAPPED-ADDRESS"] = self._socket.getpeername()[:2]
        answer.add_message_integrity(password)
        self._socket.send(bytes(answer))

    def close(self) -> None:
        self._socket.close()


async def work(kind: str, order: dict[str, str]) -> dict[str, object]:
    async with aiohttp.ClientSession() as http:
        client = LoadClient(http, bind_host=order["address"])
        await client.join(order["url"], order["apiKey"], order["sessionId"], order["token"])
        flooder = Flooder(await client.subscribe([order["streamId"]]))
        try:
            # What it gets without asking for anything, and the SSRCs it can ask for.
            await asyncio.to_thread(flooder.run, 5.0, 0.0, kind)
            first = set(flooder.heard.packets)
            before = sum(flooder.heard.volume.values()) / 5.0
            flooder.heard.recent = {ssrc: flooder.heard.recent[ssrc] for ssrc in first}
            flooder.heard.reset()
            per_s = PLIS_PER_S if kind == "pli" else NACKS_PER_S
            print("{}", flush=True)
            seconds = float(order["seconds"])
            sent = await asyncio.to_thread(flooder.run, seconds, per_s, kind)
        finally:
            flooder.close()
            await client.leave()
    again = sum(size for ssrc, size in flooder.heard.volume.items() if ssrc not in first)
    media = sum(size for ssrc, size in flooder.heard.volume.items() if ssrc in first)
    return {
        "sent": sent,
        "before_bps": before * 8,
        "media_bps": media * 8 / seconds,
        "again_bps": again * 8 / seconds,
    }


def main() -> None:
    order = json.loads(sys.stdin.readline())
    print(json.dumps(asyncio.run(work(sys.argv[1], order))), flush=True)


if __name__ == "__main__":
    main()
