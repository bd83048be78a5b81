"""Signals of encrypted Sessions: an SFrame whose key is bound to the sender's Connection."""

from dataclasses import dataclass

from sealroute_client.e2ee.decryption import Decryptor
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.identity import Outcome, StreamHistory, Windows
from sealroute_client.e2ee.keys import Encryptor, PendingContext, SecretRing
from sealroute_client.e2ee.secret import KeyIds, SessionSecret, length_prefixed


@dataclass(frozen=True, slots=True)
class SignalContent:
    """`to` is a connection id, or empty: for everybody."""

    to: str
    type: str
    data: str


class SignalEncryptor:
    """Encrypts the signals of one Connection; a new secret starts a new key id."""

    def __init__(self, connection_id: str) -> None:
        self._connection_id = connection_id
        self._ids = KeyIds()
        self._encryptor = Encryptor()
        self._secret: SessionSecret | None = None

    def encrypt(self, secret: SessionSecret, content: SignalContent) -> bytes | None:
        """Errors: ValueError when the type is longer than 65535 bytes."""
        if self._secret is not secret or self._encryptor.is_exhausted:
            pending = PendingContext(secret, self._ids)
            self._encryptor.use(pending.context(secret.signal_base(self._connection_id)))
            self._secret = secret
        names = length_prefixed(content.to) + length_prefixed(content.type)
        return self._encryptor.encrypt(CodecId.SIGNAL, names + content.data.encode())


class SignalDecryptor:
    """Opens what one other Connection encrypted, each signal once, and only if it is for us."""

    def __init__(self, secrets: SecretRing, sender: str, history: StreamHistory) -> None:
        windows = Windows(history, "signal")
        self._decryptor = Decryptor(secrets, windows, lambda secret: secret.signal_base(sender))

    def decrypt(self, encrypted: bytes, addressee: str, now_s: float) -> SignalContent | Outcome:
        """What the sender said, or why it is not delivered."""
        decrypted = self._decryptor.decrypt(CodecId.SIGNAL, encrypted, now_s)
        if decrypted.outcome is not Outcome.OK:
            return decrypted.outcome
        content = parse_content(decrypted.frame)
        if content is None:
            return Outcome.FORMAT
        if content.to not in ("", addressee):
            return Outcome.ADDRESSEE
        return content


def parse_content(plaintext: bytes) -> SignalContent | None:
    try:
        to, rest = _take_string(plaintext)
        kind, rest = _take_string(rest)
        return SignalContent(to, kind, rest.decode())
    except ValueError:
        return None


def _take_string(data: bytes) -> tuple[str, bytes]:
    length = int.from_bytes(data[:2], "big")
    if len(data) < 2 + length:
        raise ValueError("cut short")
    return data[2 : 2 + length].decode(), data[2 + length :]
