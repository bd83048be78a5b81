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
