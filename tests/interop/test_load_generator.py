"""The load generator against a small media server made of independent parts: aioice's STUN,
the server's DTLS and pylibsrtp."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aioice import stun
from pylibsrtp import Policy, Session

from bench import loadgen
from bench.loadgen import Joined, PublisherJob, Timing
from bench.peer import GCM, LEGACY, Peer, PeerError, TransportJob
from bench.scenarios import Scenario
from bench.sdp import RemoteDescription
from sfu.core_api import SrtpProfile
from sfu.dtls import DtlsAssociation, DtlsIdentity
from sfu.dtls_state import DtlsState

pytestmark = [pytest.mark.interop, pytest.mark.long, pytest.mark.timeout(300)]

PASSWORD = "server-password-server-pw"
PROFILES = {
    SrtpProfile.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    SrtpProfile.AES128_CM_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}
KID = bytes.fromhex("80112233445566aa")


def srtp(key: bytes, salt: bytes, profile: int, kind: int) -> Session:
    policy = Policy(key=key + salt, ssrc_type=kind, srtp_profile=profile)
    policy.allow_repeat_tx = True
    policy.window_size = 1_024
    return Session(policy)


class Connected:
    """One client's transport as the server sees it."""

    def __init__(self, dtls: DtlsAssociation, address: tuple[str, int]) -> None:
        assert dtls.keys is not None
        keys = dtls.keys
        profile = PROFILES[keys.profile]
        self.address = address
        self.open = srtp(keys.receive_key, keys.receive_salt, profile, Policy.SSRC_ANY_INBOUND)
        self.protect = srtp(keys.send_key, keys.send_salt, profile, Policy.SSRC_ANY_OUTBOUND)


class Reflector:
    """Sends every RTP packet to all other clients, but for those that `drops` names by count."""

    def __init__(self, drops: frozenset[int] = frozenset(), damage: int | None = None) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.05)
        self.identity = DtlsIdentity()
        self.clients: dict[tuple[str, int], Connected] = {}
        self.handshakes: dict[tuple[str, int], DtlsAssociation] = {}
        self.fingerprints: list[tuple[str, bytes]] = []
        self.drops, self.damage = drops, damage
        self.packets = 0
        self.seen: list[bytes] = []
        self.reports = {200: 0, 201: 0}
        self.checks = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def remote(self) -> RemoteDescription:
        prints = (("sha-256", self.identity.fingerprint.hex()),)
        return RemoteDescription("server", PASSWORD, prints, (self.socket.getsockname(),))

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        self.socket.close()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                datagram, address = self.socket.recvfrom(2_048)
            except TimeoutError:
                continue
            if datagram[0] <= 3:
                self.handle_stun(datagram, address)
            elif datagram[0] < 128:
                self.handle_dtls(datagram, address)
            elif 192 <= datagram[1] <= 223:
                self.handle_rtcp(datagram, address)
            else:
                self.handle_rtp(datagram, address)

    def handle_stun(self, datagram: bytes, address: tuple[str, int]) -> None:
        try:
            request = stun.parse_message(datagram)
        except ValueError:
            return
        if not request.check_message_integrity(PASSWORD.encode()):
            return
        self.checks += 1
        answer = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        answer.attributes["XOR-MAPPED-ADDRESS"] = address
        answer.add_message_integrity(PASSWORD.encode())
        self.socket.sendto(bytes(answer), address)

    def handle_dtls(self, datagram: bytes, address: tuple[str, int]) -> None:
        if address not in self.handshakes:
            self.handshakes[address] = DtlsAssociation(self.identity)
            self.handshakes[address].expect(self.fingerprints)
        dtls = self.handshakes[address]
        dtls.handle_datagram(datagram, 0.0)
        for answer in dtls.poll_datagrams():
            self.socket.sendto(answer, address)
        if dtls.state is DtlsState.CONNECTED and address not in self.clients:
            self.clients[address] = Connected(dtls, address)

    def handle_rtp(self, datagram: bytes, address: tuple[str, int]) -> None:
        packet = self.clients[address].open.unprotect(datagram)
        self.packets += 1
        self.seen.append(packet)
        if self.packets in self.drops:
            return
        if self.packets == self.damage:
            packet = packet[:-40] + bytes([packet[-40] ^ 1]) + packet[-39:]
        for other in self.clients.values():
            if other.address != address:
                self.socket.sendto(other.protect.protect(packet), other.address)

    def handle_rtcp(self, datagram: bytes, address: tuple[str, int]) -> None:
        compound = self.clients[address].open.unprotect_rtcp(datagram)
        self.reports[compound[1]] += 1


@pytest.fixture(scope="module")
def binary() -> Path:
    return asyncio.run(loadgen.build())


@pytest.fixture
def peers() -> Iterator[list[Peer]]:
    opened: list[Peer] = []
    yield opened
    for peer in opened:
        peer.close()


def connect(reflector: Reflector, peers: list[Peer], profiles: bytes = GCM) -> TransportJob:
    peer = Peer(profiles=profiles)
    peers.append(peer)
    digest = bytes.fromhex(peer.local.fingerprint.replace(":", ""))
    reflector.fingerprints.append(("sha-256", digest))
    return peer.connect(reflector.remote())


async def load(
    binary: Path, reflector: Reflector, peers: list[Peer], profiles: bytes = GCM
) -> dict[str, object]:
    """One publisher, two subscribers, 200 packets/s in bursts of 2 for about a second."""
    scenario = Scenario("test", "video", 1, 2, 200, burst=2, packets_per_frame=4)
    jobs = [connect(reflector, peers, profiles) for _ in range(3)]
    publisher = PublisherJob(jobs[0], 0x1234, 96, KID, ((4, "30"),))
    timing = Timing(silent_s=0.1, warm_s=0.3, window_s=1.0)
    job = loadgen.load_job(scenario, Joined((publisher,), tuple(jobs[1:])), timing)
    outcome = await loadgen.run(binary, job, [one.fd for one in jobs], lambda: 0.0)
    assert list(outcome.cpu_s) == ["silent", "warming", "measuring", "measured"]
    return outcome.result


@pytest.mark.parametrize("profiles", [GCM, LEGACY])
async def test_every_packet_arrives_opens_and_is_verified(
    binary: Path, peers: list[Peer], profiles: bytes
) -> None:
    reflector = Reflector()
    try:
        result = await load(binary, reflector, peers, profiles)
    finally:
        reflector.close()
    seen = result["subscribers"]
    assert result["flows"] == 2
    assert result["expected"] == result["arrived"] > 300
    for fault in ("corrupt", "duplicates", "reordered", "sequence_gaps"):
        assert seen[fault] == 0, fault
    assert seen["transport"]["unauthentic"] == seen["transport"]["unknown"] == 0
    assert seen["received"] == 2 * result["publishers"][0]["sent"] == 2 * reflector.packets
    assert 0 < result["delay"]["p50_us"] <= result["delay"]["p99_us"]
    assert reflector.reports[200] >= 1, "sender reports"
    assert reflector.reports[201] >= 1, "receiver reports"


async def test_what_is_sent_looks_protected_with_the_declared_key(
    binary: Path, peers: list[Peer]
) -> None:
    reflector = Reflector()
    try:
        await load(binary, reflector, peers)
    finally:
        reflector.close()
    starts = [packet[20:] for packet in reflector.seen if packet[20] & 0x10]
    assert len(starts) * 4 >= len(reflector.seen) - 4
    for payload in starts:
        clear = 10 if payload[4] & 1 == 0 else 1
        sframe = payload[4 + clear :]
        assert sframe[0] >= 0xF0
        assert sframe[1:9] == KID


async def test_lost_packets_are_found(binary: Path, peers: list[Peer]) -> None:
    drops = frozenset(range(120, 130))
    reflector = Reflector(drops)
    try:
        result = await load(binary, reflector, peers)
    finally:
        reflector.close()
    assert result["expected"] - result["arrived"] == 2 * len(drops)
    assert result["subscribers"]["sequence_gaps"] == 2


async def test_a_changed_payload_is_found(binary: Path, peers: list[Peer]) -> None:
    reflector = Reflector(damage=100)
    try:
        result = await load(binary, reflector, peers)
    finally:
        reflector.close()
    assert result["subscribers"]["corrupt"] == 2


async def test_a_server_with_another_certificate_than_announced_is_refused(
    peers: list[Peer],
) -> None:
    reflector = Reflector()
    try:
        peer = Peer()
        peers.append(peer)
        digest = bytes.fromhex(peer.local.fingerprint.replace(":", ""))
        reflector.fingerprints.append(("sha-256", digest))
        right = reflector.remote()
        wrong = RemoteDescription("server", PASSWORD, (("sha-256", "00" * 32),), right.addresses)
        with pytest.raises(PeerError):
            await asyncio.to_thread(peer.connect, wrong)
    finally:
        reflector.close()


async def test_a_job_that_makes_no_sense_is_an_error(binary: Path) -> None:
    with pytest.raises(loadgen.LoadError, match="job"):
        await loadgen.run(binary, {"mode": "load"}, (), lambda: 0.0)


async def test_the_floor_counts_what_it_sends(binary: Path) -> None:
    scenario = Scenario("test", "video", 1, 5, 500, burst=5)
    for segmented in (False, True):
        result = await loadgen.floor(binary, scenario, 0.5, segmented=segmented)
        assert result["sent"] == result["arrived"] == 250 * 5
        assert result["cpu_us_per_packet"] > 0
