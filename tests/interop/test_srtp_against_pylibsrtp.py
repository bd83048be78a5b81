"""The core's SRTP against libsrtp: all profiles, both directions, RTP and RTCP."""

import random
import struct

import pytest
from pylibsrtp import Error, Policy, Session

from sfu.core_api import SrtpProfile

native = pytest.importorskip("sfu._native")
pytestmark = pytest.mark.interop

PROFILES = {
    SrtpProfile.AEAD_AES_128_GCM: (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    SrtpProfile.AEAD_AES_256_GCM: (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
    SrtpProfile.AES128_CM_SHA1_80: (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}
SSRC = 0x8F3C11A2
WINDOW = 1_024


class Ours:
    def __init__(self, profile: SrtpProfile, key: bytes, salt: bytes) -> None:
        session = native.SrtpSession(profile, key, salt)
        self.protect, self.open = session.protect_rtp, session.unprotect_rtp
        self.protect_rtcp, self.open_rtcp = session.protect_rtcp, session.unprotect_rtcp
        self.refusal = ValueError


class Libsrtp:
    def __init__(self, profile: SrtpProfile, key: bytes, salt: bytes) -> None:
        sender, receiver = (
            self._session(profile, key + salt, kind)
            for kind in (Policy.SSRC_ANY_OUTBOUND, Policy.SSRC_ANY_INBOUND)
        )
        self.protect, self.open = sender.protect, receiver.unprotect
        self.protect_rtcp, self.open_rtcp = sender.protect_rtcp, receiver.unprotect_rtcp
        self.refusal = Error

    @staticmethod
    def _session(profile: SrtpProfile, key: bytes, kind: int) -> Session:
        policy = Policy(key=key, ssrc_type=kind, srtp_profile=PROFILES[profile][0])
        policy.window_size = WINDOW
        return Session(policy)


@pytest.fixture(params=list(PROFILES), ids=lambda profile: profile.name)
def profile(request):
    return request.param


@pytest.fixture(params=[(Ours, Libsrtp), (Libsrtp, Ours)], ids=["ours_to_lib", "lib_to_ours"])
def ends(request, profile):
    """A sender and a receiver with the same keys."""
    _, key_bytes, salt_bytes = PROFILES[profile]
    rng = random.Random(7)
    key, salt = rng.randbytes(key_bytes), rng.randbytes(salt_bytes)
    return [end(profile, key, salt) for end in request.param]


def rtp_packet(rng: random.Random, sequence: int, ssrc: int = SSRC) -> bytes:
    csrcs = rng.choice([0, 0, 2])
    extension = rng.choice([b"", struct.pack("!HH", 0xBEDE, 2) + b"\x10A\x22abc\x00\x00"])
    first = 0x80 | (0x10 if extension else 0) | csrcs
    fixed = struct.pack("!BBHII", first, rng.randrange(128), sequence & 0xFFFF, 90 * sequence, ssrc)
    return fixed + rng.randbytes(4 * csrcs) + extension + rng.randbytes(rng.randrange(1_150))


def rtcp_compound(rng: random.Random, ssrc: int = SSRC) -> bytes:
    body = rng.randbytes(4 * rng.randrange(1, 80))
    report = struct.pack("!BBHI", 0x80, 201, 1, ssrc)
    return report + struct.pack("!BBH", 0x81, 206, len(body) // 4) + body


def test_packets_of_all_shapes_and_sizes_open_to_what_was_protected(ends):
    sender, receiver = ends
    rng = random.Random(1)
    for sequence in range(300):
        packet = rtp_packet(rng, sequence)
        protected = sender.protect(packet)
        assert protected[:12] == packet[:12]
        assert receiver.open(protected) == packet


def test_the_rollover_counter_is_followed_through_loss_and_reordering(ends):
    """Three wraps of the sequence number, a tenth lost, neighbours swapped, also over a wrap."""
    sender, receiver = ends
    rng = random.Random(2)
    flight, opened = [], 0
    for sequence in range(65_000, 3 * 65_536 + 200, 37):
        packet = rtp_packet(rng, sequence)
        protected = sender.protect(packet)
        if rng.random() > 0.1:
            flight.append((packet, protected))
        if len(flight) == 8:
            rng.shuffle(flight)
            for packet, protected in flight:
                assert receiver.open(protected) == packet
                opened += 1
            flight.clear()
    assert opened > 3_000


def test_compounds_open_to_what_was_protected(ends):
    sender, receiver = ends
    rng = random.Random(3)
    for index in range(300):
        compound = rtcp_compound(rng, SSRC + index % 3)
        protected = sender.protect_rtcp(compound)
        assert protected[:8] == compound[:8]
        assert receiver.open_rtcp(protected) == compound


def test_many_ssrcs_do_not_disturb_each_other(ends):
    sender, receiver = ends
    rng = random.Random(4)
    starts = {rng.randrange(1, 2**32): rng.randrange(65_000, 65_536) for _ in range(40)}
    for step in range(60):
        for ssrc, start in starts.items():
            packet = rtp_packet(rng, start + 20 * step, ssrc)
            assert receiver.open(sender.protect(packet)) == packet


def test_replays_and_changed_packets_are_refused_and_spoil_nothing(ends):
    sender, receiver = ends
    rng = random.Random(5)
    for sequence in range(100):
        packet = rtp_packet(rng, sequence)
        protected = sender.protect(packet)
        changed = bytearray(protected)
        changed[rng.randrange(2, len(changed))] ^= 1 << rng.randrange(8)
        with pytest.raises(receiver.refusal):
            receiver.open(bytes(changed))
        assert receiver.open(protected) == packet
        with pytest.raises(receiver.refusal):
            receiver.open(protected)


def test_replayed_and_changed_compounds_are_refused(ends):
    sender, receiver = ends
    rng = random.Random(6)
    for _ in range(100):
        compound = rtcp_compound(rng)
        protected = sender.protect_rtcp(compound)
        changed = bytearray(protected)
        changed[rng.randrange(8, len(changed))] ^= 1 << rng.randrange(8)
        with pytest.raises(receiver.refusal):
            receiver.open_rtcp(bytes(changed))
        assert receiver.open_rtcp(protected) == compound
        with pytest.raises(receiver.refusal):
            receiver.open_rtcp(protected)


def test_keys_of_a_wrong_length_and_unknown_profiles_are_refused(profile):
    _, key_bytes, salt_bytes = PROFILES[profile]
    for key, salt in [(key_bytes - 1, salt_bytes), (key_bytes, salt_bytes + 1), (0, 0)]:
        with pytest.raises(ValueError, match="key_length"):
            native.SrtpSession(profile, bytes(key), bytes(salt))
    with pytest.raises(ValueError, match="unknown SRTP profile"):
        native.SrtpSession("SRTP_NULL", b"", b"")
