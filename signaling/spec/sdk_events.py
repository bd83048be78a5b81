"""The events of both client SDKs. `sdk_event_types` makes the types of each SDK of this list.

A row with `relays` is emitted by both SDKs without code of its own, after what else they do with
the server's message of that name: its members are those of the message.
"""

from dataclasses import dataclass
from typing import Literal

Target = Literal["Session", "Publisher", "Subscriber"]


@dataclass(frozen=True, slots=True)
class Member:
    """A field of an event in Python."""

    name: str
    type: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class PythonEvent:
    """An event's class in the Python SDK. Several targets may share it."""

    cls: str
    members: tuple[Member, ...] = ()
    about: str | None = None


@dataclass(frozen=True, slots=True)
class SdkEvent:
    """`web`: what its event has in the browser SDK, as TypeScript. None: that SDK has no such
    event. `relays`: the server's message that it repeats."""

    target: Target
    name: str
    web: str | None = None
    python: PythonEvent | None = None
    web_about: str | None = None
    relays: str | None = None


_STREAM_ID = Member("stream_id", "str")
_QUALITY = (_STREAM_ID, Member("reason", "str", '"quality"'))
_STREAM_CREATED = PythonEvent(
    "StreamCreated",
    (Member("stream", "dict[str, Any]"),),
    "Another member's stream, or, to a Publisher, its own. `stream` as in `Session.streams`.",
)
_STREAM_DESTROYED = PythonEvent("StreamDestroyed", (_STREAM_ID, Member("reason", "str", '""')))
_MUTE_FORCED = PythonEvent(
    "MuteForced",
    (Member("stream_id", "str | None"), Member("active", "bool", "True")),
    "`stream_id` is None when it is for all streams.",
)
_NOT_ENCRYPTED = PythonEvent(
    "NotEncrypted",
    (_STREAM_ID, Member("mid", "str | None", "None"), Member("packets", "int | None", "None")),
    "The server dropped packets of an own stream that were not encrypted under a declared key.",
)
_STATE = PythonEvent(
    "EncryptionStateChanged",
    (_STREAM_ID, Member("state", "str")),
    "`state`: `encrypted` once a frame of the stream was decrypted (or encrypted), `failing`.",
)

EVENTS = (
    SdkEvent("Session", "archiveStarted", web="{ id: string; name: string }"),
    SdkEvent("Session", "archiveStopped", web="{ id: string; name: string }"),
    SdkEvent(
        "Session",
        "connectionCreated",
        web="{ connection: Connection }",
        python=PythonEvent("ConnectionCreated", (Member("connection", "dict[str, Any]"),)),
    ),
    SdkEvent(
        "Session",
        "connectionDestroyed",
        web="{ connection: Connection; reason: string }",
        python=PythonEvent(
            "ConnectionDestroyed",
            (Member("connection_id", "str"), Member("reason", "str | None", "None")),
        ),
    ),
    SdkEvent("Session", "encryptionStateChanged", web="SessionEncryptionChange"),
    SdkEvent("Session", "muteForced", web="{ active: boolean }", python=_MUTE_FORCED),
    SdkEvent(
        "Session",
        "activeSpeakerChanged",
        web="{ stream: Stream }",
        python=PythonEvent("ActiveSpeakerChanged", (_STREAM_ID,)),
        web_about="Another stream is the one that speaks.",
        relays="activeSpeaker",
    ),
    SdkEvent("Session", "sessionConnected", web="object"),
    SdkEvent(
        "Session",
        "sessionDisconnected",
        web="{ reason: string; error?: OTError }",
        web_about="`error`: why, where the reason alone says too little.",
    ),
    SdkEvent(
        "Session",
        "sessionReconnected",
        web="object",
        python=PythonEvent(
            "SessionReconnected",
            (Member("is_new_connection", "bool", "False"),),
            "`is_new_connection`: the server knew the connection no more, as after its restart.",
        ),
    ),
    SdkEvent(
        "Session", "sessionReconnecting", web="object", python=PythonEvent("SessionReconnecting")
    ),
    SdkEvent(
        "Session",
        "signal",
        web="SignalDetails",
        python=PythonEvent(
            "SignalReceived",
            (
                Member("connection_id", "str | None"),
                Member("type", "str"),
                Member("data", "str"),
                Member("encrypted", "bool"),
            ),
            "`connection_id` is None for signals of the application's server, which are clear.",
        ),
    ),
    SdkEvent("Session", "streamCreated", web="{ stream: Stream }", python=_STREAM_CREATED),
    SdkEvent(
        "Session",
        "streamDestroyed",
        web="{ stream: Stream; reason: string }",
        python=_STREAM_DESTROYED,
    ),
    SdkEvent(
        "Session",
        "streamPropertyChanged",
        web="{ stream: Stream } & PropertyChange",
        python=PythonEvent(
            "StreamPropertyChanged", (_STREAM_ID, Member("changes", "dict[str, Any]"))
        ),
    ),
    SdkEvent("Session", "notEncrypted", python=_NOT_ENCRYPTED),
    SdkEvent(
        "Session",
        "transportLost",
        python=PythonEvent(
            "TransportLost",
            (Member("direction", "str"),),
            "`direction` is `uplink` or `downlink`; the SDK publishes and subscribes again.",
        ),
    ),
    SdkEvent(
        "Session", "disconnected", python=PythonEvent("Disconnected", (Member("reason", "str"),))
    ),
    SdkEvent(
        "Session",
        "error",
        python=PythonEvent(
            "ErrorOccurred",
            (Member("error", "Exception"),),
            "What failed without a caller that could be told.",
        ),
    ),
    SdkEvent("Publisher", "accessAllowed", web="object"),
    SdkEvent("Publisher", "accessDenied", web="object"),
    SdkEvent("Publisher", "accessDialogOpened", web="object"),
    SdkEvent("Publisher", "accessDialogClosed", web="object"),
    SdkEvent(
        "Publisher",
        "audioInputDeviceChanged",
        web="{ device: { deviceId: string; label: string } }",
    ),
    SdkEvent("Publisher", "audioLevelUpdated", web="{ audioLevel: number }"),
    SdkEvent("Publisher", "destroyed", web="object"),
    SdkEvent(
        "Publisher",
        "ended",
        python=PythonEvent(
            "Ended", (_STREAM_ID,), "The media file of a Publisher came to its end."
        ),
    ),
    SdkEvent(
        "Publisher",
        "encryptionStateChanged",
        web="StreamEncryptionChange",
        python=_STATE,
        web_about="What is sent is encrypted, or nothing of it was yet.",
    ),
    SdkEvent("Publisher", "mediaStopped", web="{ track: MediaStreamTrack }"),
    SdkEvent("Publisher", "mediaStreamAvailable", web="{ mediaStream: MediaStream }"),
    SdkEvent("Publisher", "muteForced", web="object", python=_MUTE_FORCED),
    SdkEvent("Publisher", "notEncrypted", python=_NOT_ENCRYPTED),
    SdkEvent("Publisher", "streamCreated", web="{ stream: Stream }", python=_STREAM_CREATED),
    SdkEvent(
        "Publisher",
        "streamDestroyed",
        web="{ stream: Stream; reason: string }",
        python=_STREAM_DESTROYED,
    ),
    SdkEvent("Publisher", "videoDimensionsChanged", web="{ oldValue: Size; newValue: Size }"),
    SdkEvent("Publisher", "videoElementCreated", web="{ element: HTMLVideoElement }"),
    SdkEvent("Subscriber", "audioBlocked", web="object"),
    SdkEvent("Subscriber", "audioLevelUpdated", web="{ audioLevel: number }"),
    SdkEvent("Subscriber", "audioUnblocked", web="object"),
    SdkEvent(
        "Subscriber",
        "connected",
        web="object",
        python=PythonEvent("SubscriberConnected", (_STREAM_ID,)),
    ),
    SdkEvent(
        "Subscriber",
        "destroyed",
        web="{ reason: string }",
        python=PythonEvent("SubscriberDestroyed", (_STREAM_ID,)),
    ),
    SdkEvent(
        "Subscriber",
        "disconnected",
        web="object",
        python=PythonEvent(
            "SubscriberDisconnected",
            (_STREAM_ID,),
            "The network was lost; `connected` comes again when the stream is back.",
        ),
    ),
    SdkEvent(
        "Subscriber",
        "encryptionSecretMatch",
        web="object",
        python=PythonEvent("EncryptionSecretMatch", (_STREAM_ID,)),
    ),
    SdkEvent(
        "Subscriber",
        "encryptionSecretMismatch",
        web="object",
        python=PythonEvent("EncryptionSecretMismatch", (_STREAM_ID,)),
    ),
    SdkEvent(
        "Subscriber",
        "encryptionStateChanged",
        web="StreamEncryptionChange",
        python=_STATE,
        web_about="What is shown and heard is encrypted, or not yet, or does not open.",
    ),
    SdkEvent("Subscriber", "mediaStreamAvailable", web="{ mediaStream: MediaStream }"),
    SdkEvent("Subscriber", "videoDimensionsChanged", web="{ oldValue: Size; newValue: Size }"),
    SdkEvent(
        "Subscriber",
        "videoDisableWarning",
        web="object",
        python=PythonEvent("VideoDisableWarning", (_STREAM_ID,)),
    ),
    SdkEvent(
        "Subscriber",
        "videoDisableWarningLifted",
        web="object",
        python=PythonEvent("VideoDisableWarningLifted", (_STREAM_ID,)),
    ),
    SdkEvent(
        "Subscriber",
        "videoDisabled",
        web="{ reason: string }",
        python=PythonEvent("VideoDisabled", _QUALITY),
    ),
    SdkEvent("Subscriber", "videoElementCreated", web="{ element: HTMLVideoElement }"),
    SdkEvent(
        "Subscriber",
        "videoEnabled",
        web="{ reason: string }",
        python=PythonEvent("VideoEnabled", _QUALITY),
    ),
)
