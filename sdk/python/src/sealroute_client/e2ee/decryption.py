"""Opening received frames: the key by key id, the history by stream, the frame by codec."""

from collections.abc import Callable
from dataclasses import dataclass

from sealroute_client.e2ee import frames
from sealroute_client.e2ee.bitstream import FormatError
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.identity import Outcome, Windows
from sealroute_client.e2ee.keys import SecretRing
from sealroute_client.e2ee.secret import SessionSecret, hint_of, key_context
from sealroute_client.e2ee.sframe import (
    AuthenticationError,
    Header,
    HeaderError,
    KeyContext,
    decode_header,
)
from sealroute_client.rules import MAX_COUNTER

BaseKey = Callable[[SessionSecret], bytes]


@dataclass(frozen=True, slots=True)
class Decrypted:
    outcome: Outcome
    frame: bytes = b""


@dataclass(frozen=True, slots=True)
class _Key:
    context: KeyContext
    secret: SessionSecret


class Decryptor:
    """Decrypts one subscription's frames of one kind. Keeps keys only; what was decrypted before,
    and by whom, is in `windows` and outlives it."""

    def __init__(self, secrets: SecretRing, windows: Windows, base_key: BaseKey) -> None:
        self._secrets = secrets
        self._windows = windows
        self._base_key = base_key
        self._keys: dict[int, _Key] = {}

    def decrypt(self, codec: CodecId, wire: bytes, now_s: float) -> Decrypted:
        try:
            encrypted = frames.split(codec, wire)
            header = decode_header(encrypted.sframe)
        except (FormatError, HeaderError):
            return Decrypted(Outcome.FORMAT)
        if header.kid_bytes != 8 or not header.kid >> 63 or header.ctr >= MAX_COUNTER:
            return Decrypted(Outcome.FORMAT)
        outcome, plaintext = self._decrypt_part(header, encrypted, now_s)
        if outcome is not Outcome.OK:
            return Decrypted(outcome)
        return Decrypted(outcome, frames.join(codec, encrypted, plaintext))

    def _decrypt_part(
        self, header: Header, encrypted: frames.EncryptedFrame, now_s: float
    ) -> tuple[Outcome, bytes]:
        refusal = self._windows.refusal(header.kid, header.ctr, now_s)
        if refusal is not None:
            return refusal, b""
        key = self._keys.get(header.kid)
        if key is not None and self._secrets.holds(key.secret, now_s):
            candidates = [key]
        else:
            self._forget_keys(now_s)
            held = self._secrets.candidates(hint_of(header.kid), now_s)
            if not held:
                return Outcome.SECRET, b""
            candidates = [
                self._derived(header.kid, s) for s in held if self._may_derive(header, now_s)
            ]
        for candidate in candidates:
            try:
                plaintext = candidate.context.decrypt(header, encrypted.metadata, encrypted.sframe)
            except AuthenticationError:
                continue
            self._keys[header.kid] = candidate
            self._windows.accept(header.kid, header.ctr, now_s)
            self._secrets.decrypted_with(candidate.secret, now_s)
            return Outcome.OK, plaintext
        return Outcome.AUTH, b""

    def _may_derive(self, header: Header, now_s: float) -> bool:
        return self._windows.may_derive(header.kid, now_s)

    def _derived(self, kid: int, secret: SessionSecret) -> _Key:
        return _Key(key_context(self._base_key(secret), kid), secret)

    def _forget_keys(self, now_s: float) -> None:
        """Keys of secrets that ended, and of key ids that were left."""
        self._keys = {
            kid: key
            for kid, key in self._keys.items()
            if self._secrets.holds(key.secret, now_s) and self._windows.is_active(kid)
        }
