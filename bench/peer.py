"""One transport of a load client: ICE's first check and the DTLS handshake on a UDP socket.

Afterwards socket and keys go to the load generator, which sends and receives the media.
Blocking, with deadlines: call it from a thread.
"""

import secrets
import socket
import time
from dataclasses import dataclass
from functools import cache

from aioice import stun
from aiortc import RTCCertificate
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL

from bench.sdp import LocalDescription, RemoteDescription

MTU_BYTES = 1_200
FIRST_WAIT_S = 0.2
MOST_WAIT_S = 1.6
DEADLINE_S = 15.0
_EXPORT_LABEL = b"EXTRACTOR-dtls_srtp"
_PROFILES = {
    b"SRTP_AEAD_AES_128_GCM": (16, 12),
    b"SRTP_AEAD_AES_256_GCM": (32, 12),
    b"SRTP_AES128_CM_SHA1_80": (16, 14),
}
GCM = b"SRTP_AEAD_AES_128_GCM"
LEGACY = b"SRTP_AES128_CM_SHA1_80"


class PeerError(Exception):
    """A transport that did not come about: no answer, or another certificate than announced."""


@dataclass(frozen=True, slots=True)
class TransportJob:
    """What the load generator is told of a transport (its JSON has the same names)."""

    fd: int
    srtp: dict[str, str] | None
    ice: dict[str, str] | None

    def as_json(self) -> dict[str, object]:
        return {"fd": self.fd, "srtp": self.srtp, "ice": self.ice}


@cache
def certificate() -> RTCCertificate:
    """One for all clients: the handshake costs the server the same, and a run starts sooner."""
    return RTCCertificate.generateCertificate()


@cache
def _context(profiles: bytes) -> SSL.Context:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    own = certificate()
    context.use_certificate(own._cert)  # noqa: SLF001 - aiortc shows no other way
    context.use_privatekey(own._key)  # noqa: SLF001
    context.set_cipher_list(b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256")
    context.set_tlsext_use_srtp(profiles)
    return context


def _fingerprint() -> str:
    found = certificate().getFingerprints()
    return next(f.value for f in found if f.algorithm == "sha-256")


class Peer:
    """A socket with its ICE credentials. `close` when the load generator is done with it."""

    def __init__(self, bind_host: str = "127.0.0.1", profiles: bytes = GCM) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((bind_host, 0))
        at = self.socket.getsockname()
        self.local = LocalDescription(
            secrets.token_hex(4), secrets.token_hex(16), _fingerprint(), (at[0], at[1])
        )
        self._profiles = profiles

    def close(self) -> None:
        self.socket.close()

    def connect(self, remote: RemoteDescription, *, passive: bool = False) -> TransportJob:
        """Does the handshake as DTLS client, or `passive` as its server. Raises `PeerError` when
        the other side does not answer within `DEADLINE_S`."""
        deadline = time.monotonic() + DEADLINE_S
        host = self.socket.getsockname()[0]
        same = [a for a in remote.addresses if a[0] == host]
        self.socket.connect((same or list(remote.addresses))[0])
        self._check(remote, deadline)
        srtp = self._shake_hands(remote, deadline, passive=passive)
        ice = {
            "local_ufrag": self.local.ufrag,
            "local_password": self.local.password,
            "remote_ufrag": remote.ufrag,
            "remote_password": remote.password,
        }
        return TransportJob(self.socket.fileno(), srtp, ice)

    def _receive(self, wait_s: float) -> bytes | None:
        self.socket.settimeout(max(wait_s, 0.001))
        try:
            return self.socket.recv(2_048)
        except (TimeoutError, ConnectionRefusedError):
            return None

    def _answer_check(self, datagram: bytes) -> None:
        """A full ICE agent checks too."""
        request = stun.parse_message(datagram)
        if request.message_class is not stun.Class.REQUEST:
            return
        answer = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        answer.attributes["XOR-MAPPED-ADDRESS"] = self.socket.getpeername()
        answer.add_message_integrity(self.local.password.encode())
        self.socket.send(bytes(answer))

    def _check(self, remote: RemoteDescription, deadline: float) -> None:
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{remote.ufrag}:{self.local.ufrag}"
        request.attributes["PRIORITY"] = 0x7EFF_FFFF
        request.attributes["ICE-CONTROLLING"] = secrets.randbits(64)
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(remote.password.encode())
        wait_s = FIRST_WAIT_S
        while time.monotonic() < deadline:
            self.socket.send(bytes(request))
            until = time.monotonic() + wait_s
            while (left := until - time.monotonic()) > 0:
                datagram = self._receive(left)
                if datagram is None or datagram[0] > 3:
                    continue
                if datagram[:2] == b"\x01\x01" and datagram[8:20] == request.transaction_id:
                    return
                self._answer_check(datagram)
            wait_s = min(wait_s * 2, MOST_WAIT_S)
        raise PeerError("no answer to the connectivity check")

    def _shake_hands(
        self, remote: RemoteDescription, deadline: float, *, passive: bool
    ) -> dict[str, str]:
        tls = SSL.Connection(_context(self._profiles), None)
        if passive:
            tls.set_accept_state()
        else:
            tls.set_connect_state()
        tls.set_ciphertext_mtu(MTU_BYTES)
        while not self._step(tls):
            self._flush(tls)
            if time.monotonic() > deadline:
                raise PeerError("the DTLS handshake did not end")
            self._take_record(tls)
        self._flush(tls)
        self._verify(tls, remote)
        return _keys(tls, passive=passive)

    def _take_record(self, tls: SSL.Connection) -> None:
        wait_s = tls.DTLSv1_get_timeout()
        datagram = self._receive(min(wait_s if wait_s is not None else 1.0, 1.0))
        if datagram is None:
            tls.DTLSv1_handle_timeout()
        elif datagram[0] <= 3:
            self._answer_check(datagram)
        elif 20 <= datagram[0] <= 63:
            tls.bio_write(datagram)

    @staticmethod
    def _step(tls: SSL.Connection) -> bool:
        try:
            tls.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise PeerError("the DTLS handshake failed") from error
        return True

    def _flush(self, tls: SSL.Connection) -> None:
        while True:
            try:
                data = tls.bio_read(MTU_BYTES)
            except SSL.WantReadError:
                return
            self.socket.send(data)

    @staticmethod
    def _verify(tls: SSL.Connection, remote: RemoteDescription) -> None:
        shown = tls.get_peer_certificate(as_cryptography=True)
        if not isinstance(shown, x509.Certificate):
            raise PeerError("the server showed no certificate")
        digest = shown.fingerprint(hashes.SHA256()).hex()
        if ("sha-256", digest) not in remote.fingerprints:
            raise PeerError("the server's certificate is not the announced one")


def _keys(tls: SSL.Connection, *, passive: bool) -> dict[str, str]:
    """RFC 5764, 4.2: the client's come first."""
    profile = tls.get_selected_srtp_profile()
    if profile not in _PROFILES:
        raise PeerError("no SRTP profile was agreed")
    key, salt = _PROFILES[profile]
    material = tls.export_keying_material(_EXPORT_LABEL, 2 * (key + salt))
    keys, salts = material[: 2 * key], material[2 * key :]
    client, server = ("remote", "local") if passive else ("local", "remote")
    return {
        "profile": profile.decode(),
        f"{client}_key": keys[:key].hex(),
        f"{server}_key": keys[key:].hex(),
        f"{client}_salt": salts[:salt].hex(),
        f"{server}_salt": salts[salt:].hex(),
    }
