"""A worker of the compiled core and peers that speak to it over loopback."""

import select
import socket
import struct
import time
from collections.abc import Iterator
from itertools import count
from typing import Any, TypeVar

import msgpack
import pytest
from aioice import stun
from pylibsrtp import Policy, Session

from sfu import core_api
from sfu.core_api import (
    Codec,
    Command,
    Direction,
    Event,
    IceValidated,
    MediaKind,
    PayloadAccess,
    Snapshot,
    SrtpProfile,
)
from sfu.media_router import decode_events, decode_snapshot, encode_command

native = pytest.importorskip("sfu._native")

E = TypeVar("E", bound=Event)

WAIT_S = 10.0
PASSWORD = "a-password-of-the-server".replace("-", "+")
PEER_PASSWORD = "a+password+of+the+client"
PROFILE = SrtpProfile.AEAD_AES_128_GCM
TRANSPORT_CC = 3
PAYLOAD_TYPE = 111


def rtp(sequence: int, ssrc: int, payload: bytes, transport_sequence: int | None = None) -> bytes:
    first, extension = 0x80, b""
    if transport_sequence is not None:
        first = 0x90
        element = struct.pack("!BHx", TRANSPORT_CC << 4 | 1, transport_sequence)
        extension = struct.pack("!HH", 0xBEDE, 1) + element
    header = struct.pack("!BBHII", first, PAYLOAD_TYPE, sequence & 0xFFFF, 960 * sequence, ssrc)
    return header + extension + payload


class Bench:
    """Owns one worker, and collects its events."""

    def __init__(self, host: str = "127.0.0.1", **options: int) -> None:
        self.worker = native.Worker(msgpack.packb({"host": host, **options}))
        self.handles = count(1)
        self.events: list[Event] = []

    def submit(self, command: Command) -> None:
        self.worker.submit(encode_command(command))

    def snapshot(self, router: int) -> Snapshot | None:
        return decode_snapshot(self.worker.snapshot(router))

    def take_events(self, wait_s: float = 0.0) -> None:
        if select.select([self.worker.fileno()], [], [], wait_s)[0]:
            self.events += decode_events(self.worker.drain())

    def event(self, kind: type[E]) -> E:
        """The next event of a kind; others stay."""
        deadline = time.monotonic() + WAIT_S
        while True:
            for event in self.events:
                if isinstance(event, kind):
                    self.events.remove(event)
                    return event
            assert time.monotonic() < deadline, f"no {kind.__name__}; there are {self.events}"
            self.take_events(0.2)

    def until(self, **expected: int) -> dict[str, int]:
        """The totals, once these have the expected values ('__' stands for '.')."""
        names = {name.replace("__", "."): value for name, value in expected.items()}
        deadline = time.monotonic() + WAIT_S
        while True:
            totals = dict(self.worker.counters())
            if all(totals[name] == value for name, value in names.items()):
                return totals
            found = {name: totals[name] for name in names}
            assert time.monotonic() < deadline, f"{found} instead of {names}"
            self.settle()

    def settle(self) -> None:
        """Lets the thread work for a moment of real time, as its totals come some 20 ms late."""
        select.select([], [], [], 0.005)

    def open_router(self, access: PayloadAccess = PayloadAccess.CLEAR) -> int:
        router = next(self.handles)
        self.submit(core_api.OpenRouter(router, access))
        return router


class Peer:
    """One client's transport: a UDP socket, aioice's STUN and libsrtp."""

    def __init__(
        self, bench: Bench, router: int, direction: Direction, ip: str = "127.0.0.1"
    ) -> None:
        self.bench = bench
        self.router = router
        self.handle = next(bench.handles)
        self.ufrag = f"server{self.handle}"
        self.server = (ip, bench.worker.local_port)
        self.socket = self.new_socket()
        self.proven: set[tuple[str, int]] = set()
        command = core_api.OpenTransport(router, self.handle, direction, self.ufrag, PASSWORD)
        bench.submit(command)
        peer = core_api.SetPeerCredentials(self.handle, "client", PEER_PASSWORD)
        bench.submit(peer)

    def new_socket(self, host: str = "127.0.0.1") -> socket.socket:
        fresh = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        fresh.bind((host, 0))
        fresh.settimeout(WAIT_S)
        return fresh

    def check(
        self, ufrag: str | None = None, password: str | None = PASSWORD, *, nominate: bool = True
    ) -> bytes:
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{ufrag or self.ufrag}:client"
        message.attributes["PRIORITY"] = 1
        message.attributes["ICE-CONTROLLING"] = 1
        if nominate:
            message.attributes["USE-CANDIDATE"] = None
        if password is not None:
            message.add_message_integrity(password.encode())
        return bytes(message)

    def send(self, datagram: bytes) -> None:
        self.socket.sendto(datagram, self.server)

    def receive_any(self) -> bytes:
        datagram, source = self.socket.recvfrom(2_048)
        assert source == self.server
        return datagram

    def receive(self) -> bytes:
        """The next datagram but for the server's checks, which it repeats to slow clients."""
        while True:
            datagram = self.receive_any()
            if datagram[:2] != b"\0\1":
                return datagram
            self.answer(datagram)

    def has_mail(self, wait_s: float = 0.0) -> bool:
        return bool(select.select([self.socket], [], [], wait_s)[0])

    def validate(self) -> stun.Message:
        self.send(self.check())
        answer = stun.parse_message(self.receive())
        assert answer.check_message_integrity(PASSWORD.encode())
        self.prove()
        return answer

    def prove(self) -> None:
        """The server asks once where the peer is, for each address that is new to it."""
        if self.socket.getsockname() not in self.proven:
            self.answer_check()

    def answer_check(self) -> None:
        """Answers the server's own check, as a full ICE agent does."""
        self.answer(self.receive_any())

    def answer(self, check: bytes) -> None:
        request = stun.parse_message(check)
        assert request.attributes["USERNAME"] == f"client:{self.ufrag}"
        assert request.check_message_integrity(PEER_PASSWORD.encode())
        answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = self.server
        answer.add_message_integrity(PEER_PASSWORD.encode())
        self.send(bytes(answer))
        self.proven.add(self.socket.getsockname())

    def set_keys(self) -> None:
        client, server = bytes([self.handle] * 28), bytes([self.handle + 100] * 28)
        secrets = core_api.SrtpSecrets(PROFILE, client[:16], client[16:], server[:16], server[16:])
        command = core_api.SetSrtpKeys(self.handle, secrets)
        self.bench.submit(command)
        self.outbound = self._session(client, Policy.SSRC_ANY_OUTBOUND)
        self.inbound = self._session(server, Policy.SSRC_ANY_INBOUND)

    @staticmethod
    def _session(key: bytes, kind: int) -> Session:
        profile = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
        policy = Policy(key=key, ssrc_type=kind, srtp_profile=profile)
        policy.window_size = 1_024
        return Session(policy)

    def connect(self) -> "Peer":
        self.validate()
        assert self.bench.event(IceValidated) == IceValidated(self.handle)
        self.set_keys()
        return self

    def receive_rtp(self) -> bytes:
        """The next RTP packet, opened; RTCP is passed over."""
        while True:
            datagram = self.receive()
            if not 192 <= datagram[1] <= 223:
                return self.inbound.unprotect(datagram)

    def receive_rtcp(self) -> bytes:
        """The next compound, opened; RTP is passed over."""
        while True:
            datagram = self.receive()
            if 192 <= datagram[1] <= 223:
                return self.inbound.unprotect_rtcp(datagram)


class Call:
    """An audio publisher and a subscriber, connected."""

    SSRC = 0x1111
    DOWN_TRACK_SSRC = 0x2222

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.router = bench.open_router()
        self.ann = Peer(bench, self.router, Direction.UPLINK).connect()
        self.ben = Peer(bench, self.router, Direction.DOWNLINK).connect()
        self.publisher, self.subscriber = next(bench.handles), next(bench.handles)
        up_track = core_api.UpTrackParameters(
            mid="0",
            kind=MediaKind.AUDIO,
            codec=Codec.OPUS,
            payload_type=PAYLOAD_TYPE,
            rtx_payload_type=None,
            clock_rate_hz=48_000,
            encodings=(core_api.EncodingParameters(ssrc=self.SSRC),),
            extensions={core_api.Extension.TRANSPORT_CC: TRANSPORT_CC},
            nack=False,
        )
        down_track = core_api.DownTrackParameters(
            mid="5",
            up_track_mid="0",
            ssrc=self.DOWN_TRACK_SSRC,
            rtx_ssrc=None,
            payload_type=PAYLOAD_TYPE,
            rtx_payload_type=None,
            extensions={},
        )
        ann, ben = self.ann, self.ben
        bench.submit(core_api.Publish(self.router, self.publisher, ann.handle, (up_track,)))
        command = core_api.Subscribe(
            self.router, self.subscriber, self.publisher, ben.handle, (down_track,)
        )
        bench.submit(command)

    def send(self, sequence: int, payload: bytes = b"sound", **options: int) -> bytes:
        protected = self.ann.outbound.protect(rtp(sequence, self.SSRC, payload, **options))
        self.ann.send(protected)
        return protected


@pytest.fixture
def make_bench() -> Iterator[Any]:
    benches: list[Bench] = []

    def make(*args: Any, **options: Any) -> Bench:
        benches.append(Bench(*args, **options))
        return benches[-1]

    yield make
    for bench in benches:
        bench.worker.close()


@pytest.fixture
def bench(make_bench: Any) -> Bench:
    return make_bench()


@pytest.fixture
def call(bench: Bench) -> Iterator[Call]:
    call = Call(bench)
    yield call
    for peer in (call.ann, call.ben):
        peer.socket.close()


@pytest.fixture
def make_peer(bench: Bench) -> Iterator[Any]:
    peers: list[Peer] = []

    def make(router: int, direction: Direction = Direction.UPLINK, **options: Any) -> Peer:
        peers.append(Peer(options.pop("bench", bench), router, direction, **options))
        return peers[-1]

    yield make
    for peer in peers:
        peer.socket.close()


@pytest.fixture
def make_call() -> Iterator[Any]:
    calls: list[Call] = []

    def make(bench: Bench) -> Call:
        calls.append(Call(bench))
        return calls[-1]

    yield make
    for call in calls:
        call.ann.socket.close()
        call.ben.socket.close()
