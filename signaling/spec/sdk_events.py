"""The events of both client SDKs. `sdk_event_types` makes the types of each SDK of this list.

A row with `relays` is emitted by both SDKs without code of its own, after what else they do with
the server's message of that name: its members are those of the message.
"""

from signaling.spec.sdk_event import Member, PythonEvent, SdkEvent

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
_ARCHIVE = (Member("id", "str"), Member("connection_id", "str | None", "None"))
_WEB_ARCHIVE = "{ id: string; name: string; connection?: Connection }"
_WEB_ARCHIVE_OVER = "{ id: string; name: string; connection?: Connection; reason?: 'recorderLeft' }"

EVENTS = (
    SdkEvent(
        "Session",
        "archiveStarted",
        web=_WEB_ARCHIVE,
        python=PythonEvent(
            "ArchiveStarted",
            _ARCHIVE,
            "The session is recorded: by the server, or, where it is end-to-end encrypted, by the\n"
            "    member `connection_id`, which says so itself.",
        ),
        web_about="The session is recorded; if it is encrypted, by the member `connection`.",
        relays="archiveStarted",
        clear_only=True,
    ),
    SdkEvent(
        "Session",
        "archiveStopped",
        web=_WEB_ARCHIVE_OVER,
        python=PythonEvent(
            "ArchiveStopped",
            (*_ARCHIVE, Member("reason", "str | None", "None")),
            "An archive stopped. `reason`: `recorderLeft` where the member that records did not\n"
            "    say so: the server says that it left, and it may go on.",
        ),
        web_about="An archive stopped; `reason`: the server says so, and the recorder may go on.",
        relays="archiveStopped",
        clear_only=True,
    ),
    SdkEvent(
        "Session",
        "connectionCreated",
        web="{ connection: Connection }",
        python=PythonEvent("ConnectionCreated", (Member("connection", "dict[str, Any]"),)),
        web_about="Another client joined.",
    ),
    SdkEvent(
        "Session",
        "connectionDestroyed",
        web="{ connection: Connection; reason: string }",
        python=PythonEvent(
            "ConnectionDestroyed",
            (Member("connection_id", "str"), Member("reason", "str | None", "None")),
        ),
        web_about="Another client left.",
    ),
    SdkEvent(
        "Session",
        "encryptionStateChanged",
        web="SessionEncryptionChange",
        web_about="The encryption state of the session changed.",
    ),
    SdkEvent(
        "Session",
        "cpuPerformanceChanged",
        web="{ cpuPerformanceState: CpuPerformanceState }",
        web_about="The machine became busier or less busy; browsers with Compute Pressure only.",
    ),
    SdkEvent(
        "Session",
        "muteForced",
        web="{ active: boolean }",
        python=_MUTE_FORCED,
        web_about="A moderator muted all streams (`active`) or ended that.",
    ),
    SdkEvent(
        "Session",
        "activeSpeakerChanged",
        web="{ stream: Stream }",
        python=PythonEvent("ActiveSpeakerChanged", (_STREAM_ID,)),
        web_about="Another stream is the one that speaks.",
        relays="activeSpeaker",
    ),
    SdkEvent("Session", "sessionConnected", web="object", web_about="The session is joined."),
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
        web_about="The connection was resumed.",
    ),
    SdkEvent(
        "Session",
        "sessionReconnecting",
        web="object",
        python=PythonEvent("SessionReconnecting"),
        web_about="The connection was lost; the SDK is trying to resume it.",
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
        web_about="A signal arrived; `signal:type` is the event of one type.",
    ),
    SdkEvent(
        "Session",
        "streamCreated",
        web="{ stream: Stream }",
        python=_STREAM_CREATED,
        web_about="Another client published a stream.",
    ),
    SdkEvent(
        "Session",
        "streamDestroyed",
        web="{ stream: Stream; reason: string }",
        python=_STREAM_DESTROYED,
        web_about="A stream of another client ended.",
    ),
    SdkEvent(
        "Session",
        "streamPropertyChanged",
        web="{ stream: Stream } & PropertyChange",
        python=PythonEvent(
            "StreamPropertyChanged", (_STREAM_ID, Member("changes", "dict[str, Any]"))
        ),
        web_about="A property of a stream changed.",
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
    SdkEvent(
        "Publisher",
        "accessAllowed",
        web="object",
        web_about="The user allowed camera and microphone.",
    ),
    SdkEvent(
        "Publisher", "accessDenied", web="object", web_about="The user denied camera or microphone."
    ),
    SdkEvent(
        "Publisher", "accessDialogOpened", web="object", web_about="The browser asks the user."
    ),
    SdkEvent("Publisher", "accessDialogClosed", web="object", web_about="The user answered."),
    SdkEvent(
        "Publisher",
        "audioInputDeviceChanged",
        web="{ device: { deviceId: string; label: string } }",
        web_about="Another microphone is in use.",
    ),
    SdkEvent(
        "Publisher",
        "videoInputDeviceChanged",
        web="{ device: { deviceId: string; label: string } }",
        web_about="Another camera is in use.",
    ),
    SdkEvent(
        "Publisher",
        "audioLevelUpdated",
        web="{ audioLevel: number }",
        web_about="`audioLevel` from 0 to 1, several times per second.",
    ),
    SdkEvent(
        "Publisher", "destroyed", web="object", web_about="The Publisher and its element are gone."
    ),
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
    SdkEvent(
        "Publisher",
        "mediaStopped",
        web="{ track: MediaStreamTrack }",
        web_about="A track ended, as with an unplugged camera. Without `preventDefault` another"
        " device of its kind takes its place, until it is back.",
    ),
    SdkEvent(
        "Publisher",
        "mediaStreamAvailable",
        web="{ mediaStream: MediaStream }",
        web_about="The captured media is there.",
    ),
    SdkEvent(
        "Publisher",
        "muteForced",
        web="object",
        python=_MUTE_FORCED,
        web_about="A moderator muted this stream.",
    ),
    SdkEvent("Publisher", "notEncrypted", python=_NOT_ENCRYPTED),
    SdkEvent(
        "Publisher",
        "networkConditionChanged",
        web="NetworkChange & { statsContainer: PublisherStatContainer }",
        web_about="The way to the server became better or worse.",
    ),
    SdkEvent(
        "Publisher",
        "streamCreated",
        web="{ stream: Stream }",
        python=_STREAM_CREATED,
        web_about="The stream is published; media can flow.",
    ),
    SdkEvent(
        "Publisher",
        "streamDestroyed",
        web="{ stream: Stream; reason: string }",
        python=_STREAM_DESTROYED,
        web_about="The stream ended; unless prevented, the element is removed.",
    ),
    SdkEvent(
        "Publisher",
        "videoDimensionsChanged",
        web="{ oldValue: Size; newValue: Size }",
        web_about="The captured video has another size.",
    ),
    SdkEvent(
        "Publisher",
        "videoElementCreated",
        web="{ element: HTMLVideoElement }",
        web_about="The element is on the page.",
    ),
    SdkEvent(
        "Publisher",
        "videoDisableWarning",
        web="object",
        web_about="The way to the server is bad; with `audioFallback.publisher` the video may end.",
    ),
    SdkEvent(
        "Publisher",
        "videoDisableWarningLifted",
        web="object",
        web_about="The way to the server suffices again.",
    ),
    SdkEvent(
        "Publisher",
        "videoDisabled",
        web="{ reason: 'quality' }",
        web_about="The video is not sent, so that the audio goes on (`audioFallback.publisher`).",
    ),
    SdkEvent(
        "Publisher",
        "videoEnabled",
        web="{ reason: 'quality' }",
        web_about="The video is sent again.",
    ),
    SdkEvent(
        "Publisher",
        "videoQualityChanged",
        web="{ reason: VideoQualityReason; statsContainer: PublisherStatContainer }",
        web_about="The video is sent in another size or codec, or something else limits it.",
    ),
    SdkEvent(
        "Subscriber",
        "audioBlocked",
        web="object",
        web_about="The browser blocks audio until the user interacts with the page.",
    ),
    SdkEvent(
        "Subscriber",
        "audioLevelUpdated",
        web="{ audioLevel: number }",
        web_about="`audioLevel` from 0 to 1, several times per second.",
    ),
    SdkEvent("Subscriber", "audioUnblocked", web="object", web_about="Audio plays."),
    SdkEvent(
        "Subscriber",
        "captionReceived",
        web="{ streamId: string; caption: string; isFinal: boolean }",
        python=PythonEvent(
            "CaptionReceived",
            (_STREAM_ID, Member("caption", "str"), Member("is_final", "bool")),
            "What is said on a stream whose Subscriber asked for it; replaced until `is_final`.",
        ),
        web_about="What is said; until one `isFinal`, each replaces the one before.",
    ),
    SdkEvent(
        "Subscriber",
        "connected",
        web="object",
        python=PythonEvent("SubscriberConnected", (_STREAM_ID,)),
        web_about="Media can flow.",
    ),
    SdkEvent(
        "Subscriber",
        "destroyed",
        web="{ reason: string }",
        python=PythonEvent("SubscriberDestroyed", (_STREAM_ID,)),
        web_about="The Subscriber and its element are gone.",
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
        web_about="The connection was lost; the SDK is trying to resume it.",
    ),
    SdkEvent(
        "Subscriber",
        "encryptionSecretMatch",
        web="object",
        python=PythonEvent("EncryptionSecretMatch", (_STREAM_ID,)),
        web_about="Frames decrypt again.",
    ),
    SdkEvent(
        "Subscriber",
        "encryptionSecretMismatch",
        web="object",
        python=PythonEvent("EncryptionSecretMismatch", (_STREAM_ID,)),
        web_about="Frames do not decrypt: the publisher uses another secret.",
    ),
    SdkEvent(
        "Subscriber",
        "encryptionStateChanged",
        web="StreamEncryptionChange",
        python=_STATE,
        web_about="What is shown and heard is encrypted, or not yet, or does not open.",
    ),
    SdkEvent(
        "Subscriber",
        "mediaStreamAvailable",
        web="{ mediaStream: MediaStream }",
        web_about="The received media is there.",
    ),
    SdkEvent(
        "Subscriber",
        "networkConditionChanged",
        web="NetworkChange & { stats: SubscriberStats }",
        web_about="The way from the server became better or worse.",
    ),
    SdkEvent(
        "Subscriber",
        "qualityScoreChanged",
        web="{ qualityScore: QualityScore }",
        web_about="Audio or video became better or worse, from 1 (bad) to 5 (excellent).",
    ),
    SdkEvent(
        "Subscriber",
        "videoDimensionsChanged",
        web="{ oldValue: Size; newValue: Size }",
        web_about="The received video has another size.",
    ),
    SdkEvent(
        "Subscriber",
        "videoDisableWarning",
        web="object",
        python=PythonEvent("VideoDisableWarning", (_STREAM_ID,)),
        web_about="The bandwidth is low; the video may be paused soon.",
    ),
    SdkEvent(
        "Subscriber",
        "videoDisableWarningLifted",
        web="object",
        python=PythonEvent("VideoDisableWarningLifted", (_STREAM_ID,)),
        web_about="The bandwidth suffices again.",
    ),
    SdkEvent(
        "Subscriber",
        "videoDisabled",
        web="{ reason: string }",
        python=PythonEvent("VideoDisabled", _QUALITY),
        web_about="Video is off; `reason` says why.",
    ),
    SdkEvent(
        "Subscriber",
        "videoElementCreated",
        web="{ element: HTMLVideoElement }",
        web_about="The element is on the page.",
    ),
    SdkEvent(
        "Subscriber",
        "videoEnabled",
        web="{ reason: string }",
        python=PythonEvent("VideoEnabled", _QUALITY),
        web_about="Video is on again; `reason` says why.",
    ),
    SdkEvent(
        "Subscriber",
        "videoQualityChanged",
        web="{ reason: VideoQualityReason; stats: SubscriberStats }",
        web_about="The video comes in another size or codec, or it stood still.",
    ),
)
