"""The way to one client, as the owner of a Session sees it."""

from typing import Protocol

from signaling.protocol import messages as m
from signaling.protocol.codec import Encoding, encode


class Outgoing:
    """A message to clients, encoded once for each encoding however many get it."""

    def __init__(self, message: m.Message) -> None:
        self.message = message
        self._encoded: dict[Encoding, bytes] = {}

    def encoded(self, encoding: Encoding) -> bytes:
        data = self._encoded.get(encoding)
        if data is None:
            data = self._encoded[encoding] = encode(self.message, encoding)  # type: ignore[arg-type]
        return data


class Outlet(Protocol):
    """A client's WebSocket as the actor sees it. Neither call blocks."""

    def send(self, outgoing: Outgoing) -> None: ...
    def close(self, reason: str) -> None:
        """After everything sent before: `Disconnected` with the reason, then the end."""
