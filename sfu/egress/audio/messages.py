"""The messages of an Audio Connector's WebSocket; pure.

To the peer: `websocket:connected` first, then audio, and answers. From the peer: audio, and
requests to clear what was not played or to be notified when it was.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_PAYLOAD_BYTES = 4_096
"""Of a notification: it comes back as it is."""
CLEARED = json.dumps({"event": "websocket:cleared"})
_CLEARS = frozenset({"clear", "clearAudio"})


@dataclass(frozen=True, slots=True)
class Transport:
    """How audio travels. Without `audio_field`: as binary messages; otherwise as JSON with base64
    in these members, ours and the peer's, beside `static_fields`."""

    audio_field: str = ""
    receive_audio_field: str = ""
    static_fields: Mapping[str, Any] = field(default_factory=dict)

    def encode(self, audio: bytes) -> str | bytes:
        if not self.audio_field:
            return audio
        encoded = base64.b64encode(audio).decode()
        return json.dumps({**self.static_fields, self.audio_field: encoded})


@dataclass(frozen=True, slots=True)
class Audio:
    data: bytes


@dataclass(frozen=True, slots=True)
class Clear:
    """`is_answered`: also where there is nothing to clear. Not so for what is an answer itself: two
    sides that repeat each other would not end."""

    is_answered: bool


@dataclass(frozen=True, slots=True)
class Notify:
    payload: object


Received = Audio | Clear | Notify | None


def read(message: str | bytes, transport: Transport) -> Received:
    """What a peer's message means; None for what has no meaning here."""
    if isinstance(message, bytes):
        return Audio(message)
    try:
        fields = json.loads(message)
        if not isinstance(fields, dict):
            return None
        return _audio(fields, transport) or _request(fields)
    except (ValueError, RecursionError):
        return None


def _audio(fields: dict[str, Any], transport: Transport) -> Audio | None:
    encoded = fields.get(transport.receive_audio_field) if transport.audio_field else None
    if not isinstance(encoded, str):
        return None
    try:
        return Audio(base64.b64decode(encoded, validate=True))
    except (ValueError, binascii.Error):
        return None


def _request(fields: dict[str, Any]) -> Received:
    action = fields.get("action")
    if action == "notify":
        payload = fields.get("payload")
        fits = len(json.dumps(payload)) <= MAX_PAYLOAD_BYTES
        return Notify(payload) if fits else None
    if isinstance(action, str) and action in _CLEARS:
        return Clear(is_answered=True)
    if fields.get("event") == "websocket:cleared":
        return Clear(is_answered=False)
    return None


def connected(rate_hz: int, headers: Mapping[str, str]) -> str:
    """The first message. The application's headers are members of it too."""
    named = {"event": "websocket:connected", "content-type": f"audio/l16;rate={rate_hz}"}
    return json.dumps({**headers, **named})


def notified(payload: object) -> str:
    answer: dict[str, object] = {"event": "websocket:notify"}
    return json.dumps(answer if payload is None else {**answer, "payload": payload})
