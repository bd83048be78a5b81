"""From the application's secret to keys (e2ee/1 section 5.2)."""

import asyncio
import hashlib
import secrets
import unicodedata
from typing import Final

from sealroute_client.e2ee.sframe import SUITES, KeyContext, hkdf_expand, hkdf_extract
from sealroute_client.errors import InvalidEncryptionSecret

MIN_CODE_POINTS: Final = 8
MAX_CODE_POINTS: Final = 256
PBKDF2_ITERATIONS: Final = 600_000
"""Slows offline guessing of human secrets; about 0.4 s of one core for each secret set."""
SUITE: Final = SUITES[6]


def length_prefixed(text: str) -> bytes:
    """`str(x)` of the format: 2-byte big-endian length, then UTF-8. Errors: ValueError."""
    data = text.encode()
    if len(data) > 0xFFFF:
        raise ValueError("longer than 65535 bytes")
    return len(data).to_bytes(2, "big") + data


def normalise(secret: object) -> bytes:
    """NFC and UTF-8. The length rule looks at the code points as given.

    Errors: InvalidEncryptionSecret, which never quotes the secret.
    """
    if not isinstance(secret, str) or not MIN_CODE_POINTS <= len(secret) <= MAX_CODE_POINTS:
        raise InvalidEncryptionSecret("The encryption secret must have 8 to 256 characters")
    try:
        return unicodedata.normalize("NFC", secret).encode()
    except UnicodeEncodeError:
        raise InvalidEncryptionSecret("The encryption secret is not valid Unicode") from None


class SessionSecret:
    """What one secret means in one Session. Only the hint may leave the process."""

    __slots__ = ("_prk", "hint")

    def __init__(self, session_key: bytes) -> None:
        self._prk = hkdf_extract("sha512", b"", session_key)
        self.hint = int.from_bytes(self._expand(b"e2ee/1 hint", 2), "big")

    def __repr__(self) -> str:
        return "SessionSecret(…)"

    def _expand(self, info: bytes, length: int) -> bytes:
        return hkdf_expand("sha512", self._prk, info, length)

    def stream_base(self, stream_id: str) -> bytes:
        return self._expand(b"e2ee/1 base " + length_prefixed(stream_id), 64)

    def signal_base(self, sender_connection_id: str) -> bytes:
        return self._expand(b"e2ee/1 signal " + length_prefixed(sender_connection_id), 64)

    def is_same(self, other: "SessionSecret") -> bool:
        return secrets.compare_digest(self._prk, other._prk)  # noqa: SLF001


def session_key(secret: str, session_id: str, iterations: int = PBKDF2_ITERATIONS) -> bytes:
    """K. Blocks for as long as the iterations take; the GIL is released meanwhile."""
    salt = b"e2ee/1 pbkdf2" + length_prefixed(session_id)
    return hashlib.pbkdf2_hmac("sha512", normalise(secret), salt, iterations, 64)


async def derive(secret: str, session_id: str) -> SessionSecret:
    """Derives in an executor. Errors: InvalidEncryptionSecret."""
    normalise(secret)
    return SessionSecret(await asyncio.to_thread(session_key, secret, session_id))


def generate_encryption_secret() -> str:
    """256 random bits, base64url: what applications should use when no human types it."""
    return secrets.token_urlsafe(32)


def new_context_id() -> bytes:
    """48 random bits, the top one set, so that every key id has 8 bytes."""
    value = bytearray(secrets.token_bytes(6))
    value[0] |= 0x80
    return bytes(value)


def key_id(context_id: bytes, hint: int) -> int:
    return int.from_bytes(context_id + hint.to_bytes(2, "big"), "big")


def key_context(base_key: bytes, kid: int) -> KeyContext:
    return KeyContext(SUITE, base_key, kid)
