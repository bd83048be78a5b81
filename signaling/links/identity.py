"""What a node shows at its links, and whom it believes: certificates of living nodes alone.

The certificate is made at the start and published in the node's row, so that whoever may write the
table of nodes is in the cluster, and nobody else. Its dates say nothing: a node's clock may be
wrong, and the row says how long it lives.
"""

import hashlib
import os
import secrets
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime

_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
_END = datetime(9999, 12, 31, tzinfo=UTC)


class LinkIdentity:
    """`certificate`: PEM. `serving` is the context of the listener."""

    def __init__(self) -> None:
        private, certificate = _new_pair()
        self.certificate = certificate.decode()
        self._pair = private + certificate
        self._trusted: set[str] = set()
        self.serving = self._context(ssl.PROTOCOL_TLS_SERVER)
        # A ticket would outlive the row of who holds it.
        self.serving.num_tickets = 0

    def trust(self, certificates: Iterable[str]) -> None:
        """Lets the holders of these through the handshake. Nobody is taken out again, so who comes
        is compared with the living rows: see `fingerprint`."""
        for each in certificates:
            if each not in self._trusted:
                self._trusted.add(each)
                self.serving.load_verify_locations(cadata=each)

    def calling(self, certificate: str) -> ssl.SSLContext:
        """The context with which a node is called that must have this certificate."""
        context = self._context(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=certificate)
        return context

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        # The library takes names of files only. This one has no name and is gone afterwards.
        descriptor = os.memfd_create("link", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, self._pair)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return context


def fingerprint(certificate: str | bytes) -> bytes:
    """Of PEM or DER: by it a shown certificate is compared with that of a row."""
    der = ssl.PEM_cert_to_DER_cert(certificate) if isinstance(certificate, str) else certificate
    return hashlib.sha256(der).digest()


def _new_pair() -> tuple[bytes, bytes]:
    """A private key and its certificate, both PEM. A server without others needs none of this."""
    from cryptography import x509  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, secrets.token_hex(16))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGIN)
        .not_valid_after(_END)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)
