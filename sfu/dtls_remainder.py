"""What remains of a DTLS 1.2 association after its handshake, without OpenSSL's state for it.

That state is 87 of the 118 KiB of a viewer, and hardly anything is said after the handshake: the
peer may repeat its last flight because ours was lost, and each side may announce the end. Our
last flight and our announcement are kept as OpenSSL made them. To read the peer's records, its
keys are derived again (RFC 5246, sections 5 and 6.3) and records are opened with `cryptography`.
"""

import hmac
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from OpenSSL import SSL

RECORD_HEADER = struct.Struct("!BHHIHH")
RECORD_HEADER_BYTES = 13
_ALERT = 21
_HANDSHAKE = 22
_FINISHED = 20
_EXPLICIT_NONCE_BYTES = 8
_TAG_BYTES = 16
_FATAL = 2
_CLOSE_NOTIFY = 0


class Received(StrEnum):
    """What a datagram of the peer says."""

    NOTHING = "nothing"
    END = "end"
    LAST_FLIGHT_AGAIN = "last_flight_again"


@dataclass(frozen=True, slots=True)
class _Suite:
    """`explicit_nonce`: a record carries 8 bytes of its nonce (RFC 5288); otherwise its number is
    mixed into the fixed part (RFC 7905)."""

    digest: str
    key_bytes: int
    iv_bytes: int
    explicit_nonce: bool
    aead: Callable[[bytes], AESGCM | ChaCha20Poly1305]


_AES128 = _Suite("sha256", 16, 4, explicit_nonce=True, aead=AESGCM)
_AES256 = _Suite("sha384", 32, 4, explicit_nonce=True, aead=AESGCM)
_CHACHA20 = _Suite("sha256", 32, 12, explicit_nonce=False, aead=ChaCha20Poly1305)
_SUITES = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": _AES128,
    "ECDHE-ECDSA-AES256-GCM-SHA384": _AES256,
    "ECDHE-ECDSA-CHACHA20-POLY1305": _CHACHA20,
    "ECDHE-RSA-AES128-GCM-SHA256": _AES128,
    "ECDHE-RSA-AES256-GCM-SHA384": _AES256,
    "ECDHE-RSA-CHACHA20-POLY1305": _CHACHA20,
}


@dataclass(frozen=True, slots=True)
class Remainder:
    """`farewell` are the datagrams that announce our end."""

    farewell: tuple[bytes, ...]
    _suite: _Suite = field(repr=False)
    _key: bytes = field(repr=False)
    _iv: bytes = field(repr=False)

    def read(self, datagram: bytes) -> Received:
        """What the peer says with its keys; everything else is NOTHING."""
        received = Received.NOTHING
        for record in records(datagram):
            text = self._open(record)
            if text is None:
                continue
            if record[0] == _ALERT and _ends(text):
                return Received.END
            if record[0] == _HANDSHAKE and text[:1] == bytes([_FINISHED]):
                received = Received.LAST_FLIGHT_AGAIN
        return received

    def _open(self, record: bytes) -> bytes | None:
        content_type, version, epoch, _, _, _ = RECORD_HEADER.unpack_from(record)
        number, body = record[3:11], record[RECORD_HEADER_BYTES:]
        explicit = _EXPLICIT_NONCE_BYTES if self._suite.explicit_nonce else 0
        length = len(body) - explicit - _TAG_BYTES
        if epoch != 1 or length <= 0:
            return None
        if explicit:
            nonce = self._iv + body[:explicit]
        else:
            mixed = int.from_bytes(self._iv) ^ int.from_bytes(number)
            nonce = mixed.to_bytes(len(self._iv))
        covered = number + struct.pack("!BHH", content_type, version, length)
        try:
            return self._suite.aead(self._key).decrypt(nonce, body[explicit:], covered)
        except InvalidTag:
            return None


def remainder_of(
    ssl: SSL.Connection, *, as_client: bool, pack: Callable[[], list[bytes]]
) -> Remainder | None:
    """Ends OpenSSL's state and returns what remains of it. None if the suite is none of today's
    (CBC): then the state is needed as long as the connection. `pack` takes OpenSSL's output."""
    suite = _SUITES.get(ssl.get_cipher_name() or "")
    master = ssl.master_key()
    client, server = ssl.client_random(), ssl.server_random()
    if suite is None or not (master and client and server):
        return None
    size = 2 * (suite.key_bytes + suite.iv_bytes)
    block = expand(suite.digest, master, b"key expansion" + server + client, size)
    keys, ivs = block[: 2 * suite.key_bytes], block[2 * suite.key_bytes :]
    # The client's comes first in both.
    key = keys[suite.key_bytes :] if as_client else keys[: suite.key_bytes]
    iv = ivs[suite.iv_bytes :] if as_client else ivs[: suite.iv_bytes]
    try:
        ssl.shutdown()
    except SSL.Error:
        return None
    return Remainder(tuple(pack()), suite, key, iv)


def expand(digest: str, secret: bytes, seed: bytes, length: int) -> bytes:
    """P_hash of RFC 5246, section 5; `seed` includes the label."""
    block, chained = b"", seed
    while len(block) < length:
        chained = hmac.digest(secret, chained, digest)
        block += hmac.digest(secret, chained + seed, digest)
    return block[:length]


def records(data: bytes) -> Iterator[bytes]:
    """The DTLS records of whole datagrams."""
    offset = 0
    while offset + RECORD_HEADER_BYTES <= len(data):
        length = RECORD_HEADER.unpack_from(data, offset)[5]
        end = offset + RECORD_HEADER_BYTES + length
        yield data[offset:end]
        offset = end


def _ends(alert: bytes) -> bool:
    return len(alert) == 2 and (alert[0] == _FATAL or alert[1] == _CLOSE_NOTIFY)
