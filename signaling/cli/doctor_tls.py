"""The doctor's look at certificates: as a client sees them, and how long they last.

The certificate of the settings is shown to a client in memory, so that chain, name, dates and key
are checked as clients check them, without a server and without a network.
"""

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlsplit

from config.settings import HttpSettings
from signaling.cli.findings import Finding

CHECK = "tls"
TIMEOUT_S = 5.0
DAY_S = 86_400
SOON_S = 14 * DAY_S
"""Whoever renews certificates automatically does it with 30 of 90 days left."""
_X509_NO_ISSUER = frozenset({18, 19, 20, 21})
"""Self-signed, self-signed in the chain, and no issuer at hand (OpenSSL's X509_V_ERR codes)."""
_HTTPS_PORT = 443
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says of itself; times in Unix seconds."""

    names: tuple[str, ...]
    begins_unix_s: float
    ends_unix_s: float


def file_findings(http: HttpSettings, public_name: str | None) -> list[Finding]:
    """Rows for the certificate of the settings; none without one. `public_name`: the host that
    clients know, where the settings have it; otherwise the first that the certificate names."""
    if not http.tls_certificate:
        return []
    where = http.tls_certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(where, http.tls_key or where)
        certificate = read_certificate(Path(where).read_bytes())
    except (OSError, ValueError) as failure:
        reason = getattr(failure, "reason", None) or getattr(failure, "strerror", None)
        text = f"{where} or its key cannot be loaded: {reason or 'not PEM'}"
        return [Finding(CHECK, "error", text, "Put a PEM certificate chain and its key there.")]
    name = public_name or next(iter(certificate.names), "localhost")
    return [_verified(context, where, name, certificate)]


def read_certificate(pem: bytes) -> Certificate:
    """Errors: `ValueError`."""
    from cryptography import x509  # noqa: PLC0415 - most machines have no certificate to read

    found = x509.load_pem_x509_certificates(pem)[0]
    names: tuple[str, ...] = ()
    with contextlib.suppress(x509.ExtensionNotFound):
        names = tuple(
            str(one.value)
            for one in found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        )
    return Certificate(
        names, found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
    )


def _verified(server: ssl.SSLContext, where: str, name: str, certificate: Certificate) -> Finding:
    dated = date_finding(f"{where} for {name}", certificate, time.time())
    if dated.state == "error":
        return dated
    try:
        _shake_hands(server, ssl.create_default_context(), name)
    except ssl.SSLCertVerificationError as failure:
        return refusal(where, name, failure)
    return dated


def date_finding(what: str, certificate: Certificate, now_unix_s: float) -> Finding:
    """Judges the dates."""
    left_s = certificate.ends_unix_s - now_unix_s
    until = formatdate(certificate.ends_unix_s, usegmt=True)
    if left_s <= 0:
        return Finding(CHECK, "error", f"{what} expired: {until}", "Renew it.")
    if certificate.begins_unix_s > now_unix_s:
        begins = formatdate(certificate.begins_unix_s, usegmt=True)
        text = f"{what} is not valid before {begins}"
        return Finding(CHECK, "error", text, "Correct this machine's clock, or wait.")
    text = f"{what}, {left_s / DAY_S:.0f} days left"
    if left_s < SOON_S:
        return Finding(CHECK, "warning", text, "Renew it; the server takes new files up by itself.")
    return Finding(CHECK, "ok", text)


def refusal(where: str, name: str, failure: ssl.SSLCertVerificationError) -> Finding:
    """What a client's refusal means."""
    text = f"{where}, as {name}: {failure.verify_message.rstrip('.')}"
    if failure.verify_code in _X509_NO_ISSUER:
        return Finding(
            CHECK,
            "warning",
            text,
            "Put the whole chain into the file (fullchain.pem). Clients accept a certificate of"
            " your own authority only where that is installed.",
        )
    return Finding(CHECK, "error", text, "Get a certificate that is valid for that name.")


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """A handshake in memory. Errors: `ssl.SSLCertVerificationError`."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(down, up, server_hostname=name),
        server.wrap_bio(up, down, server_side=True),
    )
    for _ in range(_ROUNDS):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()


def url_findings(url: str) -> list[Finding]:
    """Rows for what answers at an https URL; none for another URL."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        return []
    name, port = parts.hostname, parts.port or _HTTPS_PORT
    where = f"{name}:{port}"
    try:
        shown = ssl.get_server_certificate((name, port), timeout=TIMEOUT_S)
        certificate = read_certificate(shown.encode())
        dated = date_finding(where, certificate, time.time())
        if dated.state == "error":
            return [dated]
        context = ssl.create_default_context()
        with (
            socket.create_connection((name, port), timeout=TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=name),
        ):
            return [dated]
    except ssl.SSLCertVerificationError as failure:
        return [refusal(where, name, failure)]
    except (OSError, ValueError) as failure:
        reason = getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
        return [Finding(CHECK, "error", f"{where}: {reason}", "Does a TLS server listen there?")]
