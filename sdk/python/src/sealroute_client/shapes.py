"""What a message of the server must look like (docs/protocol.md). The one place that looks: behind
it the members that a kind of message must have are there, and have their types.

Members that are not named here pass, so that messages can grow; so do messages of unknown kinds.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sealroute_client.errors import UnexpectedServerResponse

Check = Callable[[object], bool]
_CONTROLS: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f]")
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
    """Ids are keys of tables, and are shown: 1 to 256 characters, none of them a control."""
    return isinstance(value, str) and 1 <= len(value) <= 256 and not _CONTROLS.search(value)


def flag(value: object) -> bool:
    return isinstance(value, bool)


def number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


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


def named(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(check(entry) for entry in value.values())


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
SIZE: Final = Shape({"width": whole, "height": whole})
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
        "codecs": named(text),
    },
)
ICE_SERVER: Final = Shape({"urls": many(text)}, {"username": text, "credential": text})
SESSION: Final = Shape({}, {"sessionId": text, "e2ee": anything, "mediaMode": anything})
TRACK: Final = Shape({"mid": text, "kind": KIND}, {"codec": text})
DOWNLINK_TRACK: Final = Shape(
    {"mid": text, "kind": KIND, "subscriberId": identifier, "streamId": identifier}, {"codec": text}
)
ANSWER: Final[dict[str, Check]] = {"re": whole}
MESSAGES: Final = {
    "ok": Shape(ANSWER),
    "pong": Shape(ANSWER),
    "error": Shape({}, {"re": whole, "code": text, "name": text, "number": whole, "message": text}),
    "welcome": Shape(
        {"connection": CONNECTION, "session": SESSION},
        {
            "re": whole,
            "capabilities": named(whole),
            "connections": many(CONNECTION),
            "streams": many(STREAM),
            "resume": text,
            "resumed": flag,
            "keepAliveMs": whole,
            "graceMs": whole,
            "iceServers": many(ICE_SERVER),
            "hints": named(hint),
            "muteForced": flag,
            "lastRequest": whole,
        },
    ),
    "published": Shape(
        {"streamId": identifier, "answer": text}, {"re": whole, "tracks": many(TRACK)}
    ),
    "subscribed": Shape({"subscriberId": identifier}, {"re": whole, "streamId": identifier}),
    "downlinkOffer": Shape({"number": whole, "sdp": text, "tracks": many(DOWNLINK_TRACK)}),
    "iceRestarted": Shape({"answer": text}, {"re": whole}),
    "activeSpeaker": Shape({"streamId": identifier}),
    "subscriberConnected": Shape({"subscriberId": identifier}),
    "peerWanted": Shape(
        {"subscriberId": identifier, "streamId": identifier},
        {"connectionId": identifier, "audio": flag, "video": flag},
    ),
    "peerGone": Shape({"subscriberId": identifier}),
    "peerDescriptionReceived": Shape(
        {"subscriberId": identifier, "type": one_of("offer", "answer"), "sdp": text}
    ),
    "peerCandidateReceived": Shape({"subscriberId": identifier, "candidate": text, "mid": text}),
    "connectionCreated": Shape({"connection": CONNECTION}),
    "connectionDestroyed": Shape({"connectionId": identifier}, {"reason": text}),
    "streamCreated": Shape({"stream": STREAM}),
    "streamDestroyed": Shape({"streamId": identifier}, {"reason": text}),
    "streamPropertyChanged": Shape(
        {"streamId": identifier}, {"hasAudio": flag, "hasVideo": flag, "videoDimensions": SIZE}
    ),
    "signalReceived": Shape({}, {"from": identifier, "type": text, "data": text, "sealed": data}),
    "muteForced": Shape({"active": flag}, {"streamId": identifier}),
    "notEncrypted": Shape({"streamId": identifier}, {"mid": text, "packets": whole}),
    "videoSupplyChanged": Shape(
        {"subscriberId": identifier, "supply": one_of("enough", "scarce", "paused")}
    ),
    "videoDemandChanged": Shape(
        {"streamId": identifier, "mid": text, "watched": flag}, {"rids": many(text)}
    ),
    "hintAnnounced": Shape({"connectionId": identifier, "hint": hint}),
    "transportLost": Shape({"direction": one_of("uplink", "downlink")}),
    "disconnected": Shape({}, {"reason": text}),
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
