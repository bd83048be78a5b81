"""Messages to all members of a large session that wait a moment, to leave in one write each.

They are kept once for all members, not in a list for each: with 500 members, a list for each costs
as much as all the rest of a join.
"""

from sfu.ids import ConnectionId
from signaling.sessions.message_sink import EncodedBatch, EncodedMessage


class Batch:
    """Owned by the actor; each slot knows from which message on it has not been sent it."""

    def __init__(self) -> None:
        self._messages: list[EncodedMessage] = []
        self._but: list[ConnectionId | None] = []
        self._excepted: set[ConnectionId | None] = set()
        self._whole: EncodedBatch | None = None

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: EncodedMessage, but: ConnectionId | None) -> None:
        """For everyone but one."""
        self._messages.append(message)
        self._but.append(but)
        self._excepted.add(but)
        self._whole = None

    def since(self, first: int, connection: ConnectionId) -> EncodedBatch:
        """What a member has not been sent; most have been sent none of it and share the frames."""
        if first == 0 and connection not in self._excepted:
            if self._whole is None:
                self._whole = EncodedBatch(self._messages)
            return self._whole
        rest = zip(self._messages[first:], self._but[first:], strict=True)
        return EncodedBatch([message for message, but in rest if but != connection])

    def clear(self) -> None:
        self._messages = []
        self._but.clear()
        self._excepted.clear()
        self._whole = None
