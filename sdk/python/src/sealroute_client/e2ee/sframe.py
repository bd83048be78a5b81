"""SFrame (RFC 9605): header, key derivation and the registered cipher suites 1 to 8."""

import hmac
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAX_U64: Final = 2**64 - 1


class HeaderError(ValueError):
    """The bytes do not start with a well-formed SFrame header."""


class AuthenticationError(ValueError):
    """The tag does not verify: another key, or changed bytes."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One row of the IANA registry "SFrame Cipher Suites"; lengths in bytes."""

    id: int
    hash: str
    key_bytes: int
    enc_key_bytes: int
    tag_bytes: int
    nonce_bytes: int = 12

    @property
    def is_gcm(self) -> bool:
        return self.enc_key_bytes == self.key_bytes


SUITES: Final = {
    suite.id: suite
    for suite in (
        Suite(1, "sha256", 48, 16, 10),
        Suite(2, "sha256", 48, 16, 8),
        Suite(3, "sha256", 48, 16, 4),
        Suite(4, "sha256", 16, 16, 16),
        Suite(5, "sha512", 32, 32, 16),
        Suite(6, "sha512", 96, 32, 10),
        Suite(7, "sha512", 96, 32, 8),
        Suite(8, "sha512", 96, 32, 4),
    )
}


@dataclass(frozen=True, slots=True)
class Header:
    """`length` is the number of encoded bytes."""

    kid: int
    ctr: int
    kid_bytes: int
    length: int


def encode_header(kid: int, ctr: int) -> bytes:
    """The shortest encoding, as RFC 9605 section 4.3 requires."""
    if not (0 <= kid <= MAX_U64 and 0 <= ctr <= MAX_U64):
        raise HeaderError("key id and counter are 64-bit numbers")
    kid_bits, kid_tail = _encode_field(kid)
    ctr_bits, ctr_tail = _encode_field(ctr)
    return bytes([kid_bits << 4 | ctr_bits]) + kid_tail + ctr_tail


def _encode_field(value: int) -> tuple[int, bytes]:
    if value < 8:
        return value, b""
    size = (value.bit_length() + 7) // 8
    return 8 | (size - 1), value.to_bytes(size, "big")


def decode_header(data: bytes) -> Header:
    """Errors: HeaderError when cut short or not minimal."""
    if not data:
        raise HeaderError("empty")
    kid, position, kid_bytes = _decode_field(data, data[0] >> 4, 1)
    ctr, position, _ = _decode_field(data, data[0] & 0x0F, position)
    return Header(kid, ctr, kid_bytes, position)


def _decode_field(data: bytes, bits: int, position: int) -> tuple[int, int, int]:
    if bits < 8:
        return bits, position, 0
    size = (bits & 7) + 1
    tail = data[position : position + size]
    if len(tail) != size:
        raise HeaderError("cut short")
    value = int.from_bytes(tail, "big")
    if value < 8 or (size > 1 and tail[0] == 0):
        raise HeaderError("not minimal")
    return value, position + size, size


def hkdf_extract(hash_name: str, salt: bytes, ikm: bytes) -> bytes:
    """RFC 5869 section 2.2."""
    return hmac.digest(salt, ikm, hash_name)


def hkdf_expand(hash_name: str, prk: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 section 2.3."""
    block, output, index = b"", b"", 1
    while len(output) < length:
        block = hmac.digest(prk, block + info + bytes([index]), hash_name)
        output += block
        index += 1
    return output[:length]


def derive_key(suite: Suite, base_key: bytes, kid: int) -> tuple[bytes, bytes]:
    """Key and salt of one key id (RFC 9605 section 4.4.2)."""
    secret = hkdf_extract(suite.hash, b"", base_key)
    label = kid.to_bytes(8, "big") + suite.id.to_bytes(2, "big")
    key = hkdf_expand(suite.hash, secret, b"SFrame 1.0 Secret key " + label, suite.key_bytes)
    salt = hkdf_expand(suite.hash, secret, b"SFrame 1.0 Secret salt " + label, suite.nonce_bytes)
    return key, salt


def aead_encrypt(suite: Suite, key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """Ciphertext and tag."""
    if suite.is_gcm:
        return AESGCM(key).encrypt(nonce, plaintext, aad)
    ciphertext = _ctr(key[: suite.enc_key_bytes], nonce, plaintext)
    return ciphertext + _tag(suite, key, nonce, aad, ciphertext)


def aead_decrypt(suite: Suite, key: bytes, nonce: bytes, aad: bytes, encrypted: bytes) -> bytes:
    """Errors: AuthenticationError, also when there is no room for a tag."""
    if len(encrypted) < suite.tag_bytes:
        raise AuthenticationError("shorter than a tag")
    if suite.is_gcm:
        try:
            return AESGCM(key).decrypt(nonce, encrypted, aad)
        except InvalidTag:
            raise AuthenticationError("tag") from None
    ciphertext, tag = encrypted[: -suite.tag_bytes], encrypted[-suite.tag_bytes :]
    if not hmac.compare_digest(_tag(suite, key, nonce, aad, ciphertext), tag):
        raise AuthenticationError("tag")
    return _ctr(key[: suite.enc_key_bytes], nonce, ciphertext)


def _ctr(key: bytes, nonce: bytes, data: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.CTR(nonce + bytes(4))).encryptor()
    return cipher.update(data) + cipher.finalize()


def _tag(suite: Suite, key: bytes, nonce: bytes, aad: bytes, ciphertext: bytes) -> bytes:
    """The tag length is authenticated too: a short tag is no prefix of a long one."""
    lengths = b"".join(n.to_bytes(8, "big") for n in (len(aad), len(ciphertext), suite.tag_bytes))
    mac = hmac.digest(key[suite.enc_key_bytes :], lengths + nonce + aad + ciphertext, suite.hash)
    return mac[: suite.tag_bytes]


class KeyContext:
    """Key and salt of one key id: encrypts by counter, decrypts by header; no replay state."""

    __slots__ = ("_key", "_salt", "_suite", "kid")

    def __init__(self, suite: Suite, base_key: bytes, kid: int) -> None:
        self._suite = suite
        self.kid = kid
        self._key, salt = derive_key(suite, base_key, kid)
        self._salt = int.from_bytes(salt, "big")

    def __repr__(self) -> str:
        return "KeyContext(…)"

    def encrypt(self, ctr: int, metadata: bytes, plaintext: bytes) -> bytes:
        header = encode_header(self.kid, ctr)
        return header + aead_encrypt(
            self._suite, self._key, self._nonce(ctr), header + metadata, plaintext
        )

    def decrypt(self, header: Header, metadata: bytes, frame: bytes) -> bytes:
        """`frame` starts with the header. Errors: AuthenticationError."""
        aad = frame[: header.length] + metadata
        return aead_decrypt(
            self._suite, self._key, self._nonce(header.ctr), aad, frame[header.length :]
        )

    def _nonce(self, ctr: int) -> bytes:
        return (self._salt ^ ctr).to_bytes(self._suite.nonce_bytes, "big")
