"""When a lost WebSocket is the end (docs/protocol/errors.md, "Close codes")."""

from typing import Final

from sealroute_client.errors import MessageFlood, SealrouteError, ServerError
from sealroute_client.rules import FINAL_CLOSES


def _error(code: str, name: str, number: int, message: str) -> SealrouteError:
    if code == MessageFlood.code:
        return MessageFlood(message)
    return ServerError(code, name, number, message)


FINAL: Final[dict[int, SealrouteError | None]] = {
    close_code: None if row is None else _error(*row) for close_code, row in FINAL_CLOSES.items()
}
"""Close codes after which the client must not come back: the same would happen again. After any
other, and without one, it resumes its connection."""
