"""From the application's secret to keys (e2ee/2 section 2)."""

import asyncio
import hashlib
import secrets
import unicodedata
from typing import Final

from sealroute_client.e2ee.sframe import SUITES, KeyContext, hkdf_expand, hkdf_extract
from sealroute_client.errors import EncryptionInternalError, InvalidEncryptionSecret

MIN_CODE_POINTS: Final = 8
MAX_CODE_POINTS: Final = 256
PBKDF2_ITERATIONS: Final = 600_000
"""Slows offline guessing of human secrets; about 0.4 s of one core for each secret set."""
SUITE: Final = SUITES[6]
CONTEXTS: Final = 65_536


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
        self.hint = int.from_bytes(self._expand(b"e2ee/2 hint", 2), "big")

    def __repr__(self) -> str:
        return "SessionSecret(…)"

    def _expand(self, info: bytes, length: int) -> bytes:
        return hkdf_expand("sha512", self._prk, info, length)

    def stream_base(self, connection_id: str, stream_id: str) -> bytes:
        """`connection_id` is the publisher's."""
        names = length_prefixed(connection_id) + length_prefixed(stream_id)
        return self._expand(b"e2ee/2 stream " + names, 64)

    def signal_base(self, sender_connection_id: str) -> bytes:
        return self._expand(b"e2ee/2 signal " + length_prefixed(sender_connection_id), 64)

    def verification_code(self) -> str:
        """Six groups of five digits; equal codes mean the same secret in the same Session."""
        code = self._expand(b"e2ee/2 verify " + length_prefixed("routed"), 30)
        groups = (int.from_bytes(code[i : i + 5], "big") % 100_000 for i in range(0, 30, 5))
        return " ".join(f"{group:05}" for group in groups)

    def is_same(self, other: "SessionSecret") -> bool:
        return secrets.compare_digest(self._prk, other._prk)  # noqa: SLF001


def session_key(secret: str, session_id: str, iterations: int = PBKDF2_ITERATIONS) -> bytes:
    """K. Blocks for as long as the iterations take; the GIL is released meanwhile."""
    salt = b"e2ee/2 pbkdf2" + length_prefixed(session_id)
    return hashlib.pbkdf2_hmac("sha512", normalise(secret), salt, iterations, 64)


async def derive(secret: str, session_id: str) -> SessionSecret:
    """Derives in an executor. Errors: InvalidEncryptionSecret."""
    normalise(secret)
    return SessionSecret(await asyncio.to_thread(session_key, secret, session_id))


def generate_encryption_secret() -> str:
    """256 random bits, base64url: what applications should use when no human types it."""
    return secrets.token_urlsafe(32)


def key_id(sender: int, context: int, hint: int) -> int:
    """1 | sender(31) | context(16) | key(16): the top bit keeps it 8 bytes long."""
    return 1 << 63 | sender << 32 | context << 16 | hint


def sender_of(kid: int) -> int:
    return kid >> 32 & 0x7FFFFFFF


def context_of(kid: int) -> int:
    return kid >> 16 & 0xFFFF


def hint_of(kid: int) -> int:
    return kid & 0xFFFF


class KeyIds:
    """The key ids of one publication: its sender part, and contexts that are never used again.

    One for the audio and video of a stream, through all changes of secret; the server has no say.
    """

    def __init__(self) -> None:
        self._sender = secrets.randbits(31)
        self._start = secrets.randbits(16)
        self._used = 0

    def next(self, hint: int) -> int:
        """Errors: EncryptionInternalError when all contexts were used; the stream must end."""
        if self._used >= CONTEXTS:
            raise EncryptionInternalError("The stream has used all its keys; publish again")
        context = (self._start + self._used) & 0xFFFF
        self._used += 1
        return key_id(self._sender, context, hint)


def key_context(base_key: bytes, kid: int) -> KeyContext:
    return KeyContext(SUITE, base_key, kid)
