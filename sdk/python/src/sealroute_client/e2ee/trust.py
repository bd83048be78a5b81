"""States of trust (docs/e2ee.md section 11): the one place that says whether anything may be sent
or played, and how. Pure; the server's words come in as they are."""

from enum import StrEnum

ROUTED = "routed"
RELAYED = "relayed"


class SessionTrust(StrEnum):
    """NONE: a clear session, and nobody here set a secret. REQUIRED: nothing is confirmed yet.
    CONFIRMED: encrypted and routed, without a key here. KEYED: everything is encrypted.
    REFUSED: the server's word is not acceptable; nothing is sent or played any more."""

    NONE = "none"
    REQUIRED = "required"
    CONFIRMED = "confirmed"
    KEYED = "keyed"
    REFUSED = "refused"


class StreamTrust(StrEnum):
    """NONE: a stream of a clear session. ENCRYPTED: a frame of it was decrypted, or encrypted."""

    NONE = "none"
    PENDING = "pending"
    ENCRYPTED = "encrypted"
    FAILING = "failing"


class Trust:
    """The trust of one Session. No step leads back to NONE, and none leads out of REFUSED."""

    def __init__(self, *, has_secret: bool) -> None:
        self._has_secret = has_secret
        self._first: tuple[object, object] | None = None
        self._is_refused = False
        self.reason = ""

    @property
    def state(self) -> SessionTrust:
        if self._is_refused:
            return SessionTrust.REFUSED
        if self._first is None:
            return SessionTrust.REQUIRED
        if self._first[0] is False:
            return SessionTrust.NONE
        return SessionTrust.KEYED if self._has_secret else SessionTrust.CONFIRMED

    @property
    def is_relayed(self) -> bool:
        """Peers may be connected to directly: in clear sessions alone."""
        return self.state is SessionTrust.NONE and self._first == (False, RELAYED)

    @property
    def may_send_clear(self) -> bool:
        return self.state is SessionTrust.NONE

    @property
    def may_use_media(self) -> bool:
        return self.state in (SessionTrust.NONE, SessionTrust.KEYED)

    def on_welcome(self, e2ee: object, media_mode: object) -> SessionTrust:
        """What the first welcome, or a later one, says of the session."""
        fault = self._fault(e2ee, media_mode)
        if fault:
            self.refuse(fault)
        elif self._first is None:
            self._first = (e2ee, media_mode)
        return self.state

    def refuse(self, reason: str) -> None:
        """What the server said is not acceptable. The first reason stays."""
        self.reason = self.reason or reason
        self._is_refused = True

    def _fault(self, e2ee: object, media_mode: object) -> str:
        if not isinstance(e2ee, bool) or media_mode not in (ROUTED, RELAYED):
            return "The server does not say whether the session is encrypted and routed"
        if self._has_secret and not e2ee:
            # Who sets a secret wants no clear media, whatever the server says.
            return "An encryption secret was set, but the server says the session is not encrypted"
        if e2ee and media_mode != ROUTED:
            return "The server says that the session is encrypted and relayed, which cannot be"
        if self._first not in (None, (e2ee, media_mode)):
            return "The server says something else about the session than when it was joined"
        return ""


class StreamTrustState:
    """One stream that is sent or received."""

    def __init__(self, *, is_encrypted: bool) -> None:
        self.state = StreamTrust.PENDING if is_encrypted else StreamTrust.NONE

    def on_encrypted(self) -> bool:
        """A frame was decrypted, or encrypted, and no track fails. True: the state has changed."""
        return self._move(StreamTrust.ENCRYPTED)

    def on_failing(self) -> bool:
        return self._move(StreamTrust.FAILING)

    def _move(self, state: StreamTrust) -> bool:
        if self.state in (StreamTrust.NONE, state):
            return False
        self.state = state
        return True
