"""What a message of the server must look like (docs/protocol/). The one place that looks: behind
it the members that a kind of message must have are there, and have their types.

Members that are not named here pass, so that messages can grow; so do messages of unknown kinds.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sealroute_client.errors import UnexpectedServerResponse

Check = Callable[[object], bool]
_NOT_IN_IDS: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
MAX_ID_UNITS: Final = 256
MAX_WHOLE: Final = 2**53
"""Every client reads whole numbers up to here as they are."""
ANSWERS: Final = {
    "hello": "welcome",
    "publish": "published",
    "subscribe": "subscribed",
    "restartIce": "iceRestarted",
    "ping": "pong",
}
"""The answer to each request; to all others it is `ok`."""


def text(value: object) -> bool:
    return isinstance(value, str)


def identifier(value: object) -> bool:
    """Ids are keys of tables, and are shown: 1 to 256 UTF-16 code units (docs/e2ee.md section 2),
    none of them a control character or half of a pair."""
    if not isinstance(value, str) or _NOT_IN_IDS.search(value):
        return False
    return 1 <= len(value.encode("utf-16-le")) // 2 <= MAX_ID_UNITS


def up_to(characters: int) -> Check:
    """A text of at most so many characters."""
    return lambda value: isinstance(value, str) and len(value) <= characters


def flag(value: object) -> bool:
    return isinstance(value, bool)


def number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def whole(value: object) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number and -MAX_WHOLE <= value <= MAX_WHOLE  # type: ignore[operator]


def count(value: object) -> bool:
    return whole(value) and value >= 0  # type: ignore[operator]


def hint(value: object) -> bool:
    return whole(value) and 0 <= value < 2**16  # type: ignore[operator]


def data(value: object) -> bool:
    return isinstance(value, bytes)


def anything(_value: object) -> bool:
    """Judged elsewhere: what is said of encryption, by the states of trust."""
    return True


def one_of(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def many(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(check(entry) for entry in value)


def table(key: Check, check: Check) -> Check:
    return lambda value: (
        isinstance(value, dict) and all(key(name) and check(entry) for name, entry in value.items())
    )


@dataclass(frozen=True, slots=True)
class Shape:
    """A map with these members. Absent and null are the same on the wire."""

    needed: dict[str, Check] = field(default_factory=dict)
    others: dict[str, Check] = field(default_factory=dict)

    def __call__(self, value: object) -> bool:
        return (
            isinstance(value, dict)
            and all(check(value.get(name)) for name, check in self.needed.items())
            and all(
                value.get(name) is None or check(value[name]) for name, check in self.others.items()
            )
        )


KIND: Final = one_of("audio", "video")
SIZE: Final = Shape({"width": count, "height": count})
CONNECTION: Final = Shape({"connectionId": identifier}, {"creationTime": number, "data": text})
STREAM: Final = Shape(
    {"streamId": identifier, "connectionId": identifier},
    {
        "creationTime": number,
        "name": text,
        "hasAudio": flag,
        "hasVideo": flag,
        "videoType": text,
        "videoDimensions": SIZE,
        "frameRate": number,
        "codecs": table(text, text),
    },
)
ICE_SERVER: Final = Shape({"urls": many(text)}, {"username": text, "credential": text})
SESSION: Final = Shape({}, {"sessionId": identifier, "e2ee": anything, "mediaMode": anything})
TRACK: Final = Shape({"mid": identifier, "kind": KIND}, {"codec": text})
DOWNLINK_TRACK: Final = Shape(
    {"mid": identifier, "kind": KIND, "subscriberId": identifier, "streamId": identifier},
    {"codec": text},
)
ANSWER: Final[dict[str, Check]] = {"re": count}
MESSAGES: Final = {
    "ok": Shape(ANSWER),
    "pong": Shape(ANSWER),
    "error": Shape(
        {},
        {
            "re": count,
            "code": up_to(64),
            "name": up_to(64),
            "number": whole,
            "message": up_to(1000),
        },
    ),
    "welcome": Shape(
        {"connection": CONNECTION, "session": SESSION},
        {
            "re": count,
            "capabilities": table(text, count),
            "connections": many(CONNECTION),
            "streams": many(STREAM),
            "resume": text,
            "resumed": flag,
            "keepAliveMs": count,
            "graceMs": count,
            "iceServers": many(ICE_SERVER),
            "hints": table(identifier, hint),
            "muteForced": flag,
            "lastRequest": count,
        },
    ),
    "published": Shape(
        {"streamId": identifier, "answer": text}, {"re": count, "tracks": many(TRACK)}
    ),
    "subscribed": Shape({"subscriberId": identifier}, {"re": count, "streamId": identifier}),
    "downlinkOffer": Shape({"offerId": count, "sdp": text, "tracks": many(DOWNLINK_TRACK)}),
    "iceRestarted": Shape({"answer": text}, {"re": count}),
    "activeSpeaker": Shape({"streamId": identifier}),
    "subscriberConnected": Shape({"subscriberId": identifier}),
    "peerSubscribed": Shape(
        {"subscriberId": identifier, "streamId": identifier},
        {"connectionId": identifier, "audio": flag, "video": flag},
    ),
    "peerUnsubscribed": Shape({"subscriberId": identifier}),
    "peerDescriptionReceived": Shape(
        {"subscriberId": identifier, "type": one_of("offer", "answer"), "sdp": text}
    ),
    "peerCandidateReceived": Shape(
        {"subscriberId": identifier, "candidate": text, "mid": identifier}
    ),
    "connectionCreated": Shape({"connection": CONNECTION}),
    "connectionDestroyed": Shape({"connectionId": identifier}, {"reason": text}),
    "streamCreated": Shape({"stream": STREAM}),
    "streamDestroyed": Shape({"streamId": identifier}, {"reason": text}),
    "streamPropertyChanged": Shape(
        {"streamId": identifier}, {"hasAudio": flag, "hasVideo": flag, "videoDimensions": SIZE}
    ),
    "signalReceived": Shape(
        {}, {"from": identifier, "type": text, "data": text, "encrypted": data}
    ),
    "muteForced": Shape({"active": flag}, {"streamId": identifier}),
    "notEncrypted": Shape({"streamId": identifier}, {"mid": identifier, "packets": count}),
    "streamStateChanged": Shape(
        {"subscriberId": identifier, "state": one_of("ok", "limited", "paused")}
    ),
    "subscribedLayersChanged": Shape(
        {"streamId": identifier, "mid": identifier, "subscribed": flag}, {"rids": many(text)}
    ),
    "hintAnnounced": Shape({"connectionId": identifier, "hint": hint}),
    "transportLost": Shape({"direction": one_of("uplink", "downlink")}),
    "disconnected": Shape({"reason": text}),
}


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
