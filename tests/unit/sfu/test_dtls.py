"""The DTLS server of a transport, against aiortc's client settings, over a scripted wire."""

import hashlib
import random
import weakref
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from aiortc import RTCCertificate
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AEAD_AES_256_GCM,
    SRTP_AES128_CM_SHA1_80,
    SRTP_PROFILES,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from sfu.core_api import SrtpProfile
from sfu.dtls import MTU_BYTES, DtlsAssociation, DtlsIdentity
from sfu.dtls_state import DtlsState


@pytest.fixture(scope="module")
def identity() -> DtlsIdentity:
    return DtlsIdentity()


@cache
def rsa_certificate() -> RTCCertificate:
    """As GStreamer makes one for each of its peers."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer")])
    now = datetime.now(UTC)
    unsigned = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now,
        not_valid_after=now + timedelta(days=365),
    )
    return RTCCertificate(key, unsigned.sign(key, hashes.SHA256()))


class Client:
    """A DTLS client on pyOpenSSL, with aiortc's certificate and context; or a server, which
    uses whatever its key allows."""

    def __init__(
        self,
        profiles=SRTP_PROFILES,
        *,
        srtp=True,
        certificate=None,
        ciphers=None,
        as_server=False,
    ):
        self.certificate = certificate or RTCCertificate.generateCertificate()
        context = self.certificate._create_ssl_context(profiles if srtp else SRTP_PROFILES)
        if not srtp:
            context = SSL.Context(SSL.DTLS_METHOD)
            context.use_certificate(self.certificate._cert)
            context.use_privatekey(self.certificate._key)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        if ciphers or as_server:
            context.set_cipher_list(ciphers or b"ECDHE+AESGCM")
        self.ssl = SSL.Connection(context)
        self.ssl.set_ciphertext_mtu(1200)
        if as_server:
            self.ssl.set_accept_state()
        else:
            self.ssl.set_connect_state()
        self.done = False
        self.last_flight = []
        self.sequence = 0

    def fingerprint(self, algorithm="sha-256"):
        der = self.certificate._cert.public_bytes(Encoding.DER)
        return (algorithm, hashlib.new(algorithm.replace("-", ""), der).digest())

    def advance(self, datagrams=()):
        for datagram in datagrams:
            self.ssl.bio_write(datagram)
            self._step()
        if not datagrams:
            self._step()
        try:
            written = self.ssl.bio_read(65_536)
        except SSL.Error:
            return []
        self.last_flight = records(written)
        return self.repeat()

    def repeat(self):
        """The last flight in records with numbers of their own, as a client's timer sends it."""
        flight = []
        for record in self.last_flight:
            number = record[5:11]
            if record[3:5] == b"\0\0":
                number = self.sequence.to_bytes(6, "big")
                self.sequence += 1
            flight.append(record[:5] + number + record[11:])
        return flight

    def _step(self):
        try:
            if self.done:
                self.ssl.recv(2048)
            else:
                self.ssl.do_handshake()
                self.done = True
        except SSL.WantReadError:
            pass

    def close(self):
        self.ssl.shutdown()
        return records(self.ssl.bio_read(65_536))

    def keys(self, length):
        return self.ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", length)


def records(data):
    """Each record as a datagram of its own: the hardest way to send a flight."""
    found = []
    while data:
        end = 13 + int.from_bytes(data[11:13], "big")
        found.append(data[:end])
        data = data[end:]
    return found


def unnumbered(datagram):
    return b"".join(record[:5] + record[11:] for record in records(datagram))


def connect(server, client, now=0.0):
    datagrams = client.advance()
    for _ in range(10):
        for datagram in datagrams:
            server.handle_datagram(datagram, now)
        answer = server.poll_datagrams()
        if not answer:
            break
        datagrams = client.advance(answer)


def connected_pair(identity, **options):
    client, server = Client(**options), DtlsAssociation(identity)
    server.expect([client.fingerprint()])
    connect(server, client)
    return client, server


def connected_to_server(identity, **options):
    """The other role: we are the client."""
    peer, ours = Client(as_server=True, **options), DtlsAssociation(identity, as_client=True)
    ours.expect([peer.fingerprint()])
    ours.begin(0.0)
    while datagrams := ours.poll_datagrams():
        for datagram in peer.advance(datagrams):
            ours.handle_datagram(datagram, 0.0)
    return peer, ours


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512"])
def test_a_client_with_the_announced_certificate_connects(identity, algorithm):
    client, server = Client(), DtlsAssociation(identity)
    server.expect([client.fingerprint(algorithm)])
    connect(server, client)
    assert client.done
    assert server.state is DtlsState.CONNECTED


def test_a_client_with_a_certificate_of_rsa_connects(identity):
    client, server = connected_pair(identity, certificate=rsa_certificate())
    assert client.done
    assert server.state is DtlsState.CONNECTED


@pytest.mark.parametrize("make", [RTCCertificate.generateCertificate, rsa_certificate])
def test_as_client_we_connect_to_a_server_with_a_key_of_either_kind(identity, make):
    peer, ours = connected_to_server(identity, profiles=[SRTP_AEAD_AES_128_GCM], certificate=make())
    assert peer.done
    assert ours.state is DtlsState.CONNECTED
    material = peer.keys(56)
    assert (ours.keys.send_key, ours.keys.receive_key) == (material[:16], material[16:32])


@pytest.mark.parametrize(
    ("offered", "chosen", "key", "salt"),
    [
        (SRTP_PROFILES, SrtpProfile.AEAD_AES_128_GCM, 16, 12),
        (
            [SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_256_GCM],
            SrtpProfile.AEAD_AES_256_GCM,
            32,
            12,
        ),
        ([SRTP_AES128_CM_SHA1_80], SrtpProfile.AES128_CM_SHA1_80, 16, 14),
        (
            [SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_256_GCM, SRTP_AEAD_AES_128_GCM],
            SrtpProfile.AEAD_AES_128_GCM,
            16,
            12,
        ),
    ],
)
def test_our_order_chooses_the_profile_and_both_sides_split_the_same_keys(
    identity, offered, chosen, key, salt
):
    client, server = connected_pair(identity, profiles=offered)
    material = client.keys(2 * (key + salt))
    assert server.keys.profile is chosen
    assert server.keys.receive_key == material[:key]
    assert server.keys.send_key == material[key : 2 * key]
    assert server.keys.receive_salt == material[2 * key : 2 * key + salt]
    assert server.keys.send_salt == material[2 * key + salt :]


def test_keys_wait_for_the_fingerprint_that_comes_after_the_handshake(identity):
    client, server = Client(), DtlsAssociation(identity)
    connect(server, client)
    assert client.done
    assert server.state is DtlsState.HANDSHAKING
    assert server.keys is None
    server.expect([client.fingerprint()])
    assert server.state is DtlsState.CONNECTED


def test_another_certificate_than_announced_fails(identity):
    client, server = Client(), DtlsAssociation(identity)
    server.expect([("sha-256", bytes(32))])
    connect(server, client)
    assert server.state is DtlsState.FAILED
    assert server.reason == "fingerprint_mismatch"
    assert server.keys is None


def test_a_client_without_srtp_fails(identity):
    client, server = connected_pair(identity, srtp=False)
    assert client.done
    assert server.state is DtlsState.FAILED
    assert server.reason == "no_srtp_profile"


def test_a_hello_in_fragments_over_several_datagrams_is_put_together(identity):
    client, server = Client(), DtlsAssociation(identity)
    server.expect([client.fingerprint()])
    (hello,) = client.advance()
    message = hello[13:]
    body, kind_and_length, sequence = message[12:], message[:4], message[4:6]
    pieces = [body[:60], body[60:100], body[100:]]
    offset = 0
    for number, piece in enumerate(pieces):
        fragment = (
            kind_and_length
            + sequence
            + offset.to_bytes(3, "big")
            + len(piece).to_bytes(3, "big")
            + piece
        )
        record = hello[:3] + number.to_bytes(8, "big") + len(fragment).to_bytes(2, "big") + fragment
        assert not server.poll_datagrams()
        server.handle_datagram(record, 0.0)
        offset += len(piece)
    client.sequence = len(pieces)
    datagrams = client.advance(server.poll_datagrams())
    for datagram in datagrams:
        server.handle_datagram(datagram, 0.0)
    assert server.state is DtlsState.CONNECTED


def test_no_datagram_of_ours_is_longer_than_the_mtu(identity):
    client, server = Client(), DtlsAssociation(identity)
    sent = []
    datagrams = client.advance()
    while datagrams and not client.done:
        for datagram in datagrams:
            server.handle_datagram(datagram, 0.0)
        answer = server.poll_datagrams()
        sent += answer
        datagrams = client.advance(answer)
    assert sent
    assert max(len(datagram) for datagram in sent) <= MTU_BYTES


def test_a_lost_flight_of_ours_is_sent_again_with_growing_pauses(identity):
    client, server = Client(), DtlsAssociation(identity)
    server.expect([client.fingerprint()])
    for datagram in client.advance():
        server.handle_datagram(datagram, 100.0)
    lost = server.poll_datagrams()
    pauses, now = [], 100.0
    for _ in range(5):
        due = server.poll_timeout()
        pauses.append(round(due - now, 3))
        server.handle_timeout(due - 0.001)
        assert server.poll_datagrams() == []
        server.handle_timeout(due)
        again = server.poll_datagrams()
        assert [unnumbered(d) for d in again] == [unnumbered(d) for d in lost]
        assert not {d[5:11] for d in again} & {d[5:11] for d in lost}
        now = due
    assert pauses == [0.25, 0.5, 1.0, 2.0, 2.0]
    for datagram in client.advance(again):
        server.handle_datagram(datagram, now)
    assert server.state is DtlsState.CONNECTED
    assert server.poll_timeout() is None


def test_a_repeated_last_flight_of_the_client_is_answered_again(identity):
    client, server = Client(), DtlsAssociation(identity)
    server.expect([client.fingerprint()])
    for datagram in client.advance():
        server.handle_datagram(datagram, 0.0)
    for datagram in client.advance(server.poll_datagrams()):
        server.handle_datagram(datagram, 0.0)
    lost = server.poll_datagrams()
    assert server.state is DtlsState.CONNECTED
    assert not client.done
    for datagram in client.repeat():  # as the client's own timer would
        server.handle_datagram(datagram, 1.0)
    answer = server.poll_datagrams()
    assert [unnumbered(d) for d in answer] == [unnumbered(d) for d in lost]
    client.advance(answer)
    assert client.done
    for datagram in client.close():
        server.handle_datagram(datagram, 2.0)
    assert server.state is DtlsState.CLOSED


@pytest.mark.parametrize("seed", range(20))
def test_a_handshake_over_a_lossy_wire_ends_within_the_limit(identity, seed):
    wire = random.Random(seed)
    client, server = Client(), DtlsAssociation(identity)
    server.expect([client.fingerprint()])
    now, from_client = 0.0, client.advance()
    while now < 10 and server.state is DtlsState.HANDSHAKING:
        to_server = [d for d in from_client if wire.random() > 0.3]
        for datagram in to_server:
            server.handle_datagram(datagram, now)
        now += 0.25
        server.handle_timeout(now)
        to_client = [d for d in server.poll_datagrams() if wire.random() > 0.3]
        from_client = (client.advance(to_client) if to_client else []) or client.repeat()
    assert server.state is DtlsState.CONNECTED


@pytest.mark.parametrize("seed", range(30))
def test_garbage_never_ends_a_handshake_or_a_connection(identity, seed):
    noise = random.Random(seed)
    client, server = Client(), DtlsAssociation(identity)
    server.expect([client.fingerprint()])

    def disturb():
        for _ in range(20):
            body = noise.randbytes(noise.randint(0, 200))
            header = bytes([noise.choice([20, 21, 22, 23, 25]), 0xFE, 0xFD, 0, noise.randint(0, 1)])
            header += noise.randbytes(6) + len(body).to_bytes(2, "big")
            server.handle_datagram(noise.choice([body, header + body, header]), 0.0)
        server.poll_datagrams()

    connect(server, client)
    assert server.state is DtlsState.CONNECTED
    disturb()
    assert server.state is DtlsState.CONNECTED
    assert server.discarded_records > 0


def test_a_broken_hello_neither_fails_the_transport_nor_is_answered(identity):
    client, server = Client(), DtlsAssociation(identity)
    server.expect([client.fingerprint()])
    (hello,) = client.advance()
    broken = hello[:60] + bytes(len(hello) - 60)
    null_cipher = hello[:13] + bytes([99]) + hello[14:]
    of_a_mebibyte = hello[:14] + b"\x10" + hello[15:]
    for bad in (broken, null_cipher, of_a_mebibyte, broken):
        server.handle_datagram(bad, 0.0)
        assert server.poll_datagrams() == []
    server.handle_datagram(hello, 0.0)
    for datagram in client.advance(server.poll_datagrams()):
        server.handle_datagram(datagram, 0.0)
    assert server.state is DtlsState.CONNECTED


def test_however_many_broken_hellos_come_the_handshake_succeeds(identity):
    client, server = Client(), DtlsAssociation(identity)
    server.expect([client.fingerprint()])
    (hello,) = client.advance()
    broken = hello[:60] + bytes(len(hello) - 60)
    for _ in range(200):
        server.handle_datagram(broken, 0.0)
        assert server.poll_datagrams() == []
    server.handle_datagram(hello, 0.0)
    for datagram in client.advance(server.poll_datagrams()):
        server.handle_datagram(datagram, 0.0)
    assert server.state is DtlsState.CONNECTED
    assert server.discarded_records == 200


SUITES = [
    b"ECDHE-ECDSA-AES128-GCM-SHA256",
    b"ECDHE-ECDSA-AES256-GCM-SHA384",
    b"ECDHE-ECDSA-CHACHA20-POLY1305",
    b"ECDHE-ECDSA-AES128-SHA",
    b"ECDHE-ECDSA-AES256-SHA",
]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("connect_roles", [connected_pair, connected_to_server])
class TestTheEnd:
    """With the cipher suites that a peer may choose, in both DTLS roles."""

    def test_the_peers_close_notify_closes(self, identity, connect_roles, suite):
        peer, ours = connect_roles(identity, ciphers=suite)
        for datagram in peer.close():
            ours.handle_datagram(datagram, 1.0)
        assert ours.state is DtlsState.CLOSED

    def test_a_changed_close_notify_does_not_close(self, identity, connect_roles, suite):
        peer, ours = connect_roles(identity, ciphers=suite)
        (farewell,) = peer.close()
        for place in (0, 10, len(farewell) - 1):
            changed = bytearray(farewell)
            changed[place] ^= 2
            ours.handle_datagram(bytes(changed), 1.0)
        assert ours.state is DtlsState.CONNECTED
        assert ours.discarded_records > 0

    def test_a_replayed_or_forged_close_in_clear_does_not_close(
        self, identity, connect_roles, suite
    ):
        _, ours = connect_roles(identity, ciphers=suite)
        alert = bytes([21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 0])
        ours.handle_datagram(alert, 1.0)
        ours.handle_datagram(alert[:4] + b"\1" + alert[5:], 1.0)
        assert ours.state is DtlsState.CONNECTED

    def test_closing_notifies_the_peer(self, identity, connect_roles, suite):
        peer, ours = connect_roles(identity, ciphers=suite)
        ours.close()
        ours.close()
        farewell = ours.poll_datagrams()
        assert len(farewell) == 1
        with pytest.raises(SSL.ZeroReturnError):
            peer.advance(farewell)
        assert ours.state is DtlsState.CLOSED


@pytest.mark.parametrize(("suite", "kept"), [(SUITES[0], False), (SUITES[3], True)])
def test_the_state_of_openssl_ends_with_the_handshake_where_the_suite_allows_it(
    identity, suite, kept
):
    client, server = Client(ciphers=suite), DtlsAssociation(identity)
    state = weakref.ref(server._ssl)
    connect(server, client)
    assert state() is not None
    server.expect([client.fingerprint()])
    assert server.state is DtlsState.CONNECTED
    assert (state() is not None) is kept


def test_keys_do_not_show_in_a_representation(identity):
    _, server = connected_pair(identity)
    assert server.keys.receive_key.hex() not in repr(server.keys)
    assert repr(server.keys.receive_key) not in repr(server.keys)
