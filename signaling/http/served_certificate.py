"""The TLS certificate of the HTTP server, read again when its files change.

Each handshake is given the newest context that could be loaded; connections that are there keep
theirs. A pair of files that does not load (half written, the key of another certificate) changes
nothing: the certificate in use stays.
"""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from config.load import ConfigurationError
from config.settings import HttpSettings

if TYPE_CHECKING:
    from signaling.metrics import Metrics

log = structlog.get_logger(__name__)

CHECK_S = 10.0
"""Between two looks at the files: a renewal is served well within a minute, and a look is cheap."""
_Signature = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class _Loaded:
    context: ssl.SSLContext
    expires_unix_s: float


class ServedCertificate:
    """Owner of the context that a server listens with. `metrics`: None in a process that has none.
    Errors of the first load: `ConfigurationError`."""

    def __init__(self, certificate: str, key: str, metrics: "Metrics | None") -> None:
        self._certificate, self._key = Path(certificate), Path(key or certificate)
        self._metrics = metrics
        self._seen = self._signature()
        try:
            self._current = self._load()
        except (OSError, ValueError) as cause:
            raise ConfigurationError(
                f"the TLS certificate {certificate} or its key cannot be loaded: {_why(cause)}"
            ) from cause
        if metrics is not None:
            metrics.tls_certificate_expiry.set(self._current.expires_unix_s)
        self.listening = _fresh_context()
        # Without a certificate of its own it would offer no cipher at all.
        self.listening.load_cert_chain(self._certificate, self._key)
        self.listening.sni_callback = self._choose

    @classmethod
    def of(cls, http: HttpSettings, metrics: "Metrics") -> "ServedCertificate | None":
        """None where TLS is not set up. Errors: `ConfigurationError`."""
        if not http.tls_certificate and not http.tls_key:
            return None
        return cls(http.tls_certificate, http.tls_key, metrics)

    def check(self) -> None:
        """Reads the files again if they are other ones than at the last look."""
        signature = self._signature()
        if signature != self._seen:
            self._seen = signature
            self.reload()

    def reload(self) -> None:
        """Reads the files again. What does not load is logged and counted, and changes nothing."""
        try:
            loaded = self._load()
        except (OSError, ValueError) as failure:
            self._stay(failure)
            return
        self._current = loaded
        if self._metrics is not None:
            self._metrics.tls_certificate_expiry.set(loaded.expires_unix_s)
            self._metrics.tls_reloads.labels("ok").inc()
        log.info("tls certificate loaded", expires_unix_s=int(loaded.expires_unix_s))

    def _stay(self, failure: Exception) -> None:
        if self._metrics is not None:
            self._metrics.tls_reloads.labels("failed").inc()
        log.error(
            "tls certificate not renewed",
            reason=_why(failure),
            advice="The certificate in use stays. Put a certificate and its key in place.",
        )

    async def watch(self, every_s: float = CHECK_S) -> None:
        """Runs until it is cancelled."""
        while True:
            await asyncio.sleep(every_s)
            self.check()

    def _choose(self, handshake: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
        """Called in every handshake, also of clients that name no server."""
        handshake.context = self._current.context

    def _load(self) -> _Loaded:
        context = _fresh_context()
        context.load_cert_chain(self._certificate, self._key)
        from cryptography import x509  # noqa: PLC0415 - a server without TLS does not need it

        found = x509.load_pem_x509_certificates(self._certificate.read_bytes())
        return _Loaded(context, found[0].not_valid_after_utc.timestamp())

    def _signature(self) -> _Signature | None:
        """What tells one state of the files from another; None while one is missing."""
        try:
            states = [file.stat() for file in (self._certificate, self._key)]
        except OSError:
            return None
        return tuple((s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns) for s in states)


def _fresh_context() -> ssl.SSLContext:
    return ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)


def _why(failure: Exception) -> str:
    """The library's reason; nothing of the files' contents."""
    if isinstance(failure, ssl.SSLError):
        return failure.reason or "not a PEM file of a certificate and its key"
    if isinstance(failure, OSError):
        return failure.strerror or "it cannot be read"
    return "not a PEM file of a certificate"
