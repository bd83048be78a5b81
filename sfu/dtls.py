"""DTLS-SRTP of one transport (RFC 6347, RFC 5764), sans-IO: datagrams and time in, datagrams out.

We are the server, unless the peer insists on that role.

OpenSSL does the cryptography. Retransmission is ours: it stores the last flight and repeats it
while the peer is silent, on the caller's clock and sooner than OpenSSL's one second.
"""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from sfu.core_api import SrtpProfile
from sfu.dtls_remainder import (
    RECORD_HEADER,
    RECORD_HEADER_BYTES,
    Received,
    Remainder,
    records,
    remainder_of,
)
from sfu.dtls_state import DtlsState

MTU_BYTES = 1_200
"""Our largest datagram: it passes every path that WebRTC passes (libwebrtc uses the same size)."""
RETRANSMIT_FIRST_S = 0.25
RETRANSMIT_MOST_S = 2.0
"""Doubles between these. RFC 6347 4.2.4.1 allows less than its 1 s where the path is known to be
short; a join must not wait a second for one lost datagram."""
MAX_DATAGRAM_BYTES = 2_048
CERTIFICATE_LIFETIME = timedelta(days=365)
"""Only the fingerprint is checked; a server that runs for longer is no attack."""

_DTLS_1_2 = 0xFEFD
_CONTENT_TYPES = frozenset({20, 21, 22, 23})
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    b"ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:"
    # as client we see the peer's certificate, which may use RSA
    b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305"
)
_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "sha-256": hashes.SHA256(),
    "sha-384": hashes.SHA384(),
    "sha-512": hashes.SHA512(),
}


@dataclass(frozen=True, slots=True)
class _ProfileSizes:
    key_bytes: int
    salt_bytes: int


_PROFILE_SIZES = {
    SrtpProfile.AEAD_AES_128_GCM: _ProfileSizes(16, 12),
    SrtpProfile.AEAD_AES_256_GCM: _ProfileSizes(32, 12),
    SrtpProfile.AES128_CM_SHA1_80: _ProfileSizes(16, 14),
}


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """Exported keying material, split (RFC 5764 section 4.2). `receive_*` is the peer's."""

    profile: SrtpProfile
    receive_key: bytes = field(repr=False)
    receive_salt: bytes = field(repr=False)
    send_key: bytes = field(repr=False)
    send_salt: bytes = field(repr=False)


class DtlsIdentity:
    """Our certificate (ECDSA P-256, another one in each process) and the context shared by all
    transports: a context for each would nearly double the cost of a handshake."""

    fingerprint_algorithm = "sha-256"

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _self_signed(key)
        self.fingerprint = certificate.fingerprint(hashes.SHA256())
        self.context = _context(certificate, key)


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """As browsers do: a random name, and a day of slack for wrong clocks."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, secrets.token_hex(16))])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + CERTIFICATE_LIFETIME)
        .sign(key, hashes.SHA256())
    )


def _context(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> SSL.Context:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU)
    context.set_min_proto_version(_DTLS_1_2)
    context.set_max_proto_version(_DTLS_1_2)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # the certificate is self-signed by design; its fingerprint is checked instead
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.use_certificate(certificate)
    context.use_privatekey(key)
    context.set_cipher_list(_CIPHERS)
    context.set_tlsext_use_srtp(b":".join(p.value.encode() for p in SrtpProfile))
    return context


def split_keys(profile: SrtpProfile, material: bytes, *, as_client: bool = False) -> SrtpKeys:
    """Client key, server key, client salt, server salt, in this order (RFC 5764 section 4.2)."""
    sizes = _PROFILE_SIZES[profile]
    key, salt = sizes.key_bytes, sizes.salt_bytes
    client = material[:key], material[2 * key : 2 * key + salt]
    server = material[key : 2 * key], material[2 * key + salt : 2 * (key + salt)]
    theirs, ours = (server, client) if as_client else (client, server)
    return SrtpKeys(
        profile,
        receive_key=theirs[0],
        send_key=ours[0],
        receive_salt=theirs[1],
        send_salt=ours[1],
    )


def certificate_matches(
    certificate: x509.Certificate, fingerprints: Sequence[tuple[str, bytes]]
) -> bool:
    """Whether the certificate has one of the fingerprints (RFC 8122); each comparison takes
    constant time."""
    found = False
    for algorithm, digest in fingerprints:
        if algorithm in _DIGESTS:
            found |= hmac.compare_digest(certificate.fingerprint(_DIGESTS[algorithm]), digest)
    return found


class DtlsAssociation:
    """The handshake of one transport. As client it starts when told to (`begin`).

    Input: received datagrams (`handle_datagram`), the fingerprints of the SDP once they are
    known (`expect`; the handshake may finish before the answer with them arrives), and the time
    (`handle_timeout` at `poll_timeout`). Output: the datagrams of `poll_datagrams`. `keys` are
    set when `state` becomes CONNECTED. `reason` is set when it becomes FAILED; `broken_by` is
    OpenSSL's error for the last record that broke the handshake.
    """

    def __init__(self, identity: DtlsIdentity, *, as_client: bool = False) -> None:
        self._identity = identity
        self.as_client = as_client
        self._begun = False
        self.broken_by: str | None = None
        self._ssl = self._fresh()
        self._remainder: Remainder | None = None
        self._handshake_done = False
        self._expected: tuple[tuple[str, bytes], ...] = ()
        self._outbox: list[bytes] = []
        self._flight: list[bytes] = []
        self._clear_records = 0
        self._retransmit_at: float | None = None
        self._retransmit_after_s = RETRANSMIT_FIRST_S
        self.state = DtlsState.HANDSHAKING
        self.reason: str | None = None
        self.keys: SrtpKeys | None = None
        self.discarded_records = 0

    def expect(self, fingerprints: Sequence[tuple[str, bytes]]) -> None:
        """Sets the fingerprints; the peer's certificate must match one of them."""
        self._expected = tuple(fingerprints)
        self._finish()

    def begin(self, now: float) -> None:
        """Sends the first flight if that is our role. Idempotent."""
        if self.as_client and not self._begun and self.state is DtlsState.HANDSHAKING:
            self._begun = True
            self._advance(now)

    def handle_datagram(self, datagram: bytes, now: float) -> None:
        """Handles one datagram. Anything but a chain of DTLS records is discarded and counted."""
        if self.state in (DtlsState.CLOSED, DtlsState.FAILED):
            return
        if len(datagram) > MAX_DATAGRAM_BYTES or not _well_formed(datagram):
            self.discarded_records += 1
            return
        if self._remainder is not None:
            self._on_received(self._remainder.read(datagram))
            return
        self._ssl.bio_write(datagram)
        if self._handshake_done:
            self._read_after_handshake()
        else:
            self._advance(now)

    def handle_timeout(self, now: float) -> None:
        """Repeats the last flight when its time has come."""
        if self._retransmit_at is None or now < self._retransmit_at:
            return
        self._send(self._flight)
        self._retransmit_after_s = min(2 * self._retransmit_after_s, RETRANSMIT_MOST_S)
        self._retransmit_at = now + self._retransmit_after_s

    def poll_timeout(self) -> float | None:
        return self._retransmit_at

    def poll_datagrams(self) -> list[bytes]:
        datagrams, self._outbox = self._outbox, []
        return datagrams

    def close(self) -> None:
        """Sends close_notify to a connected peer. Idempotent."""
        if self.state is DtlsState.CONNECTED:
            self._send(self._farewell())
        if self.state is not DtlsState.FAILED:
            self.state = DtlsState.CLOSED
        self._retransmit_at = None

    # --- inside ----------------------------------------------------------------------------

    def _fresh(self) -> SSL.Connection:
        connection = SSL.Connection(self._identity.context)
        if self.as_client:
            connection.set_connect_state()
        else:
            connection.set_accept_state()
        connection.set_ciphertext_mtu(MTU_BYTES)
        return connection

    def _advance(self, now: float) -> None:
        try:
            self._ssl.do_handshake()
            self._handshake_done = True
        except SSL.WantReadError:
            self._send_flight(now)
        except SSL.Error as broken:
            self._start_again(broken, now)
        else:
            self._flight = self._pending()
            self._send(self._flight)
            self._retransmit_at = None
            self._finish()

    def _send_flight(self, now: float) -> None:
        flight = self._pending()
        if flight:
            self._flight = flight
            self._send(flight)
            self._retransmit_after_s = RETRANSMIT_FIRST_S
            self._retransmit_at = now + self._retransmit_after_s

    def _start_again(self, broken: SSL.Error, now: float) -> None:
        """Handles a bad record that broke the handshake. Anybody can send one with the peer's
        address as its source, so bad records neither end the transport nor cause an alert: the
        next ClientHello finds a fresh state (RFC 6347 4.1.2.7). The core lets few of them pass,
        and the handshake deadline of the transport ends the rest."""
        self.broken_by = _said(broken)
        self.discarded_records += 1
        self._flight = []
        self._retransmit_at = None
        self._ssl = self._fresh()
        if self.as_client:
            self._advance(now)

    def _finish(self) -> None:
        """Checks the peer and exports keys, once handshake and fingerprints are complete."""
        if not self._handshake_done or not self._expected or self.keys is not None:
            return
        certificate = self._ssl.get_peer_certificate(as_cryptography=True)
        if certificate is None or not certificate_matches(certificate, self._expected):
            self._fail("fingerprint_mismatch")
            return
        selected = self._ssl.get_selected_srtp_profile().decode("ascii", "replace")
        if selected not in set(SrtpProfile):
            self._fail("no_srtp_profile")
            return
        profile = SrtpProfile(selected)
        sizes = _PROFILE_SIZES[profile]
        material = self._ssl.export_keying_material(
            b"EXTRACTOR-dtls_srtp", 2 * (sizes.key_bytes + sizes.salt_bytes)
        )
        self.keys = split_keys(profile, material, as_client=self.as_client)
        self.state = DtlsState.CONNECTED
        self._remainder = remainder_of(self._ssl, as_client=self.as_client, pack=self._pending)
        if self._remainder is not None:
            del self._ssl

    def _farewell(self) -> Sequence[bytes]:
        if self._remainder is not None:
            return self._remainder.farewell
        try:
            self._ssl.shutdown()
        except SSL.Error:
            self.discarded_records += 1
        return self._pending()

    def _on_received(self, received: Received) -> None:
        match received:
            case Received.END:
                self.state = DtlsState.CLOSED
            case Received.LAST_FLIGHT_AGAIN:
                self._send(self._flight)
            case Received.NOTHING:
                self.discarded_records += 1

    def _fail(self, reason: str) -> None:
        self.state = DtlsState.FAILED
        self.reason = reason
        self._retransmit_at = None

    def _read_after_handshake(self) -> None:
        """The same with OpenSSL's state, before the fingerprint is known and for suites without a
        `Remainder`. Application data (a data channel) is not offered and is dropped."""
        try:
            while self._ssl.recv(MAX_DATAGRAM_BYTES):
                self.discarded_records += 1
        except SSL.ZeroReturnError:
            self.state = DtlsState.CLOSED
        except SSL.WantReadError:
            pass
        except SSL.Error:
            self.discarded_records += 1
            if self._ssl.get_shutdown() & SSL.RECEIVED_SHUTDOWN:
                self.state = DtlsState.CLOSED  # a fatal alert under the peer's keys
        self._send(self._pending())

    def _send(self, datagrams: Sequence[bytes]) -> None:
        """Renumbers the clear records, so that a repeated one is no replay to the peer.

        OpenSSL's own numbers cannot be kept for some of them: its next record would collide.
        Records of epoch 1 are encrypted and unchanged.
        """
        for datagram in datagrams:
            numbered = b""
            for record in records(datagram):
                if record[3:5] == b"\0\0":
                    sequence = self._clear_records.to_bytes(6, "big")
                    self._clear_records += 1
                    numbered += record[:5] + sequence + record[11:]
                else:
                    numbered += record
            self._outbox.append(numbered)

    def _pending(self) -> list[bytes]:
        """OpenSSL's output, packed into datagrams of whole records."""
        written = b""
        while True:
            try:
                written += self._ssl.bio_read(16_384)
            except SSL.Error:
                break
        datagrams: list[bytes] = []
        current = b""
        for record in records(written):
            if current and len(current) + len(record) > MTU_BYTES:
                datagrams.append(current)
                current = b""
            current += record
        return [*datagrams, current] if current else datagrams


def _said(broken: SSL.Error) -> str:
    """OpenSSL's text for the error: from its own table, nothing from the peer. For a message longer
    than any, it reports an error of the system, which has no text there."""
    if isinstance(broken, SSL.SysCallError) or not broken.args:
        return "unknown"
    queue = broken.args[0]
    return str(queue[-1][-1]) if queue else "unknown"


def _well_formed(datagram: bytes) -> bool:
    """Complete DTLS 1.x records with plausible headers and nothing after them."""
    offset = 0
    while offset + RECORD_HEADER_BYTES <= len(datagram):
        content_type, version, _, _, _, length = RECORD_HEADER.unpack_from(datagram, offset)
        if content_type not in _CONTENT_TYPES or version >> 8 != 0xFE:
            return False
        offset += RECORD_HEADER_BYTES + length
    return offset == len(datagram) and offset > 0
