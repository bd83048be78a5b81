"""Signals as the server hands them on: which are delivered, and what is said of the others."""

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sealroute_client import events
from sealroute_client.e2ee.identity import Outcome
from sealroute_client.e2ee.signals import SignalContent
from sealroute_client.errors import (
    EncryptionSecretMismatch,
    SealrouteError,
    UnexpectedServerResponse,
)
from sealroute_client.member_archives import MemberArchives
from sealroute_client.rules import MAX_ENCRYPTED_SIGNAL_BYTES, SENDER_STATS_SIGNAL

if TYPE_CHECKING:
    from sealroute_client.session import Session


class Dropped(StrEnum):
    """Why a signal is not delivered."""

    CLEAR = "clear"
    STRAYED = "strayed"
    MISSHAPEN = "misshapen"
    UNDECRYPTED = "undecrypted"
    REPLAYED = "replayed"


FAULTS: Final[dict[Dropped, SealrouteError]] = {
    Dropped.CLEAR: UnexpectedServerResponse(
        "A signal in the clear claimed to be from a member of the encrypted session; it was dropped"
    ),
    Dropped.STRAYED: UnexpectedServerResponse(
        "A signal came that is for another member, or from nobody in the session; it was dropped"
    ),
    Dropped.MISSHAPEN: UnexpectedServerResponse(
        "An encrypted signal came in a form that no member sends; it was dropped"
    ),
    Dropped.UNDECRYPTED: EncryptionSecretMismatch(
        "A signal could not be decrypted with the present encryption secret"
    ),
}
"""What the application is told. A signal that came before is only counted: after a resume an honest
server may send one again."""


class ReceivedSignals:
    """Of one Session."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self.dropped: Counter[str] = Counter()
        self._archives = MemberArchives()

    def on_left(self, connection_id: str) -> None:
        """A member is gone, as the server says, and what it recorded is over."""
        for stopped in self._archives.leave(connection_id):
            self._session.emit(stopped)

    def take(self, message: dict[str, Any]) -> None:
        sender, encrypted = message.get("from"), message.get("encrypted")
        content = self._content(message) if encrypted is None else self._open(sender, encrypted)
        if isinstance(content, Dropped):
            self.dropped[str(content)] += 1
            if content in FAULTS:
                self._session.complain(FAULTS[content])
            return
        if sender is not None and content.type == SENDER_STATS_SIGNAL:
            return  # From SDK to SDK; this one has no use for it.
        self._session.emit(
            events.SignalReceived(
                connection_id=sender,
                type=content.type,
                data=content.data,
                encrypted=encrypted is not None,
            )
        )
        if sender is not None and encrypted is not None:
            notice = self._archives.take(sender, content.type, content.data)
            if notice is not None:
                self._session.emit(notice)

    def _content(self, message: dict[str, Any]) -> SignalContent | Dropped:
        if message.get("from") is not None and not self._session.trust.may_send_clear:
            # A member would have encrypted it; applications, over REST, have no member's name.
            return Dropped.CLEAR
        return SignalContent("", message.get("type") or "", message.get("data") or "")

    def _open(self, sender: str | None, encrypted: bytes) -> SignalContent | Dropped:
        if sender is None or sender not in self._session.connections:
            # Only from members: replay protection lives as long as the Connection.
            return Dropped.STRAYED
        if len(encrypted) > MAX_ENCRYPTED_SIGNAL_BYTES:
            return Dropped.MISSHAPEN
        encryption = self._session.encryption
        if encryption is None:
            return Dropped.UNDECRYPTED
        content = encryption.decrypt_signal(sender, bytes(encrypted))
        if isinstance(content, SignalContent):
            return content
        return _OUTCOMES.get(content, Dropped.UNDECRYPTED)


_OUTCOMES: Final = {Outcome.ADDRESSEE: Dropped.STRAYED, Outcome.REPLAY: Dropped.REPLAYED}
