"""The boundary to the server: a message has the shape of its kind, or nothing is made of it."""

from typing import Any

from sealroute_client.errors import UnexpectedServerResponse
from sealroute_client.rules import ANSWERS
from sealroute_client.shapes import MESSAGES


def check_message(message: dict[str, Any]) -> None:
    """Errors: UnexpectedServerResponse for a known kind of message in another shape."""
    kind = message["t"]
    shape = MESSAGES.get(kind)
    if shape is not None and not shape(message):
        raise UnexpectedServerResponse(f"The server sent a message {kind} of a wrong shape")


def check_answer(request: str, message: dict[str, Any]) -> None:
    """Errors: UnexpectedServerResponse for what is no answer to that request."""
    if message["t"] != ANSWERS.get(request, "ok"):
        raise UnexpectedServerResponse(f"The server answered {request} with something else")
    check_message(message)
