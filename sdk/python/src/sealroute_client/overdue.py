"""Requests that nobody waits for any more, and what the server made for them nevertheless.

A stream that its publisher knows nothing of would stand black in the views of all others, and a
subscription without a Subscriber takes its part of the link. Pure.
"""

from typing import Any, Final

from sealroute_client.checking import check_answer
from sealroute_client.errors import UnexpectedServerResponse

RETURNS: Final = {
    "publish": ("unpublish", "streamId"),
    "subscribe": ("unsubscribe", "subscriberId"),
}
"""What gives back that which the answer to a request names, and the member that names it."""


class OverdueAnswers:
    def __init__(self) -> None:
        self._requests: dict[int, str] = {}

    def expect(self, number: int, request: str) -> None:
        """Nobody waits any more for the answer to the request of that number."""
        if request in RETURNS:
            self._requests[number] = request

    def take(self, message: dict[str, Any]) -> tuple[str, dict[str, str]] | None:
        """The request that gives back what `message` names, if it is an answer that came late."""
        number = message.get("re")
        if not isinstance(number, int) or number not in self._requests:
            return None
        request = self._requests.pop(number)
        try:
            check_answer(request, message)
        except UnexpectedServerResponse:
            return None
        kind, name = RETURNS[request]
        return kind, {name: str(message[name])}
