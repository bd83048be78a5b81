"""Secrets at rest: wrapped with a key that is not in the database.

A project's API secret signs tokens (HMAC), so the server needs the secret itself and not a hash.
"""

import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from config.secret import Secret
from signaling.domain.errors import ErrorCode, Unavailable
from signaling.storage.folder import KEY_FILE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
_MARK = "sealed1:"
"""API secrets are hexadecimal, so an unwrapped one never begins like this."""


class SecretWrapper:
    """AES-256-GCM with a random nonce; the owner of a secret is authenticated with it.

    The first key wraps, and every key unwraps: a new key comes first, and the old one stays until
    all secrets are wrapped again.
    """

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._keys = keys

    @cached_property
    def _ciphers(self) -> "list[AESGCM]":
        """Made with the first secret: without a project the library (7 MB) is not needed."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        return [AESGCM(key) for key in self._keys]

    def wrap(self, secret: str, owner: str) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapped = self._ciphers[0].encrypt(nonce, secret.encode(), owner.encode())
        return _MARK + urlsafe_b64encode(nonce + wrapped).decode()

    def unwrap(self, wrapped: str, owner: str) -> str:
        """The secret. Errors: `storage_unavailable` when no key unwraps it."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above

        try:
            data = urlsafe_b64decode(wrapped.removeprefix(_MARK))
        except (Base64Error, ValueError):
            data = b""
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(
                    data[:_NONCE_BYTES], data[_NONCE_BYTES:], owner.encode()
                ).decode()
            except (InvalidTag, ValueError):
                continue
        raise Unavailable(
            ErrorCode.STORAGE_UNAVAILABLE, "A project's secret cannot be opened with this key."
        )

    def is_wrapped(self, text: str) -> bool:
        return text.startswith(_MARK)


def wrapper_of(given: Secret[str], data_dir: Path) -> SecretWrapper:
    """Uses the keys in the settings (base64, comma-separated, newest first), otherwise the key file
    of the folder, which is created with mode 0600.

    Errors: `storage_unavailable` when a key is not 32 bytes or the file cannot be used.
    """
    try:
        keys = given_keys(given)
        return SecretWrapper(keys or (_key(_kept(data_dir / KEY_FILE)),))
    except OSError as cause:
        raise Unavailable(
            ErrorCode.STORAGE_UNAVAILABLE, f"{KEY_FILE} cannot be used: {cause.strerror}"
        ) from cause


def given_keys(given: Secret[str]) -> tuple[bytes, ...]:
    """The keys in the settings. Errors: `storage_unavailable` when one is not 32 bytes."""
    return tuple(_key(text) for text in given.reveal().split(",") if text.strip())


def _key(text: str) -> bytes:
    try:
        key = urlsafe_b64decode(text.strip())
    except (Base64Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise Unavailable(
            ErrorCode.STORAGE_UNAVAILABLE, "A sealing key must be 32 bytes in URL-safe base64."
        )
    return key


def _kept(path: Path) -> str:
    """The key in the file. If several processes create it at once, one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    if not path.exists():
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip()
