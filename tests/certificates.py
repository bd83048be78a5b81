"""Certificates for tests: self-signed, on P-256."""

import itertools
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_SERIALS = itertools.count(1_000)


def write_certificate(folder: Path, *, name: str = "media.example.test") -> int:
    """Puts `certificate.pem` and `key.pem` in place, one after the other, as certbot does. Returns
    the serial number."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now, serial = datetime.now(UTC), next(_SERIALS)
    names = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    for file, content in (
        ("key.pem", private),
        ("certificate.pem", made.public_bytes(Encoding.PEM)),
    ):
        fresh = folder / f"new-{file}"
        fresh.write_bytes(content)
        fresh.rename(folder / file)
    return serial


class Authority:
    """An authority of its own; `trusted` is the file that clients trust (SSL_CERT_FILE)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority")])
        made = (
            self._dated(self._name, self._key.public_key(), -timedelta(days=900), timedelta(900))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.trusted = folder / "authority.pem"
        self.trusted.write_bytes(made.public_bytes(Encoding.PEM))

    def certificate(self, name: str, begins: timedelta, ends: timedelta) -> Path:
        """A file with a certificate and its key; the times are from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        builder = self._dated(subject, key.public_key(), begins, ends)
        made = builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        file = self._folder / f"{next(_SERIALS)}.pem"
        file.write_bytes(private + made.public_bytes(Encoding.PEM))
        return file

    def _dated(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        begins: timedelta,
        ends: timedelta,
    ) -> x509.CertificateBuilder:
        # A minute more: tests count whole days that are left.
        now = datetime.now(UTC) + timedelta(minutes=1)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(next(_SERIALS))
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
        )
