"""Signals on sealed Sessions: an SFrame whose key is bound to the sender's Connection."""

from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.keys import Opened, Opener, Outcome, PendingContext, Sealer, SecretRing
from sealroute_client.e2ee.secret import SessionSecret, length_prefixed


class SignalSealer:
    """Seals the signals of one Connection; a new secret starts a new key id."""

    def __init__(self, connection_id: str) -> None:
        self._connection_id = connection_id
        self._sealer = Sealer()
        self._secret: SessionSecret | None = None

    def seal(self, secret: SessionSecret, kind: str, data: str) -> bytes | None:
        """Errors: ValueError when the type is longer than 65535 bytes."""
        if self._secret is not secret or self._sealer.is_exhausted:
            pending = PendingContext(secret)
            self._sealer.use(pending.context(secret.signal_base(self._connection_id)))
            self._secret = secret
        return self._sealer.seal(CodecId.SIGNAL, length_prefixed(kind) + data.encode())


class SignalOpener:
    """Opens what one other Connection sealed, each signal once."""

    def __init__(self, secrets: SecretRing, sender_connection_id: str) -> None:
        self._opener = Opener(secrets, lambda secret: secret.signal_base(sender_connection_id))

    def open(self, sealed: bytes, now_s: float) -> tuple[Outcome, str, str]:
        """Outcome, type and data; type and data are empty unless the outcome is OK."""
        opened = self._opener.open(CodecId.SIGNAL, sealed, now_s)
        if opened.outcome is not Outcome.OK:
            return opened.outcome, "", ""
        return _parse(opened)


def _parse(opened: Opened) -> tuple[Outcome, str, str]:
    length = int.from_bytes(opened.frame[:2], "big")
    if len(opened.frame) < 2 + length:
        return Outcome.FORMAT, "", ""
    try:
        kind = opened.frame[2 : 2 + length].decode()
        data = opened.frame[2 + length :].decode()
    except UnicodeDecodeError:
        return Outcome.FORMAT, "", ""
    return Outcome.OK, kind, data
