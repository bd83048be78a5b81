"""TLS of a process without files and without waiting."""

import ssl
from contextlib import suppress
from pathlib import Path

_CHUNK_BYTES = 65_536
_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
"""Folders of single certificates are read when one is looked for, which this process cannot do."""

"a name in IDNA".encode("idna")  # its tables are files, which this process gives up


def trust(roots: str) -> ssl.SSLContext:
    """Errors: `OSError` if there are no trusted certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    own = ssl.get_default_verify_paths().cafile
    found = (path for path in (roots or own or "", *_ROOTS) if path and Path(path).exists())
    context.load_verify_locations(cafile=roots or next(found, None))
    return context


class Tls:
    """TLS without I/O."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._is_up = False
        self._waiting = bytearray()

    def read(self, chunk: bytes) -> bytes:
        """What the peer said. Errors: `ssl.SSLError`, also of its certificate."""
        self._incoming.write(chunk)
        plain = bytearray()
        with suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            self._handshake()
            while part := self._object.read(_CHUNK_BYTES):
                plain += part
        return bytes(plain)

    def write(self, data: bytes) -> bytes:
        """What to send for it; it waits for the handshake."""
        self._waiting += data
        with suppress(ssl.SSLWantReadError):
            self._handshake()
        return self.pending()

    def pending(self) -> bytes:
        return self._outgoing.read()

    def _handshake(self) -> None:
        if not self._is_up:
            self._object.do_handshake()
            self._is_up = True
        if self._waiting:
            self._object.write(self._waiting)
            self._waiting.clear()
