"""What people are told, by row: each error's code and how its words begin; all of them, no other.

A row that is not here tells nobody of an error. `browsers`: both of them.
"""

from typing import get_args

from signaling.protocol.messages import ServerMessage

Words = dict[str, tuple[str, ...]]
KINDS = sorted(shape.__struct_config__.tag for shape in get_args(ServerMessage))
NEVER_MISSHAPEN = ("disconnected", "transportLost")
"""In the row that sends all others so."""

FAILED = "The server failed."
ANOTHER = (
    "OT_UNEXPECTED_SERVER_RESPONSE: The server described the session differently when the "
    "connection was resumed; it was ended"
)
STRANGER = (
    "OT_UNEXPECTED_SERVER_RESPONSE: A signal came that is for another member, or from nobody in "
    "the session; it was dropped"
)
NO_ARCHIVE = "The server spoke of an archive of an end-to-end encrypted session; it cannot record"
NO_CAPTIONS = "The server sent captions in an end-to-end encrypted session; it cannot caption"
IMPOSSIBLE = tuple(f"OT_UNEXPECTED_SERVER_RESPONSE: {one}" for one in (NO_ARCHIVE, NO_CAPTIONS))
MISMATCHED = (
    "OT_ENCRYPTION_SECRET_MISMATCH: "
    "A signal could not be decrypted with the present encryption secret"
)
UNDECRYPTED = "OT_ENCRYPTION_INTERNAL_ERROR: Frames could not be encrypted or decrypted"
ENDED = "OT_STREAM_DESTROYED: The stream ended"
BESIDE = "OT_DECRYPTION_INTERNAL_ERROR: Media arrived without passing the encryption worker"
NO_SESSION = (
    "OT_UNEXPECTED_SERVER_RESPONSE: The server let the client into something that is not the "
    "session it asked for"
)


def _offer(words: str) -> str:
    made = "The server made an offer that an encrypted session does not allow: "
    return f"OT_UNEXPECTED_SERVER_RESPONSE: {made}{words}"


def _answer(words: str) -> str:
    made = "The server made an answer that an encrypted session does not allow: "
    return f"OT_UNEXPECTED_SERVER_RESPONSE: {made}{words}"


def _passed_on(what: str, words: str) -> str:
    made = f"The server passed on {what} that a relayed session does not allow: "
    return f"OT_UNEXPECTED_SERVER_RESPONSE: {made}{words}"


def _misshapen(kind: str, path: str = "") -> str:
    """The browser SDK's of what is not as the protocol says."""
    words = f'The server sent "{kind}" with a wrong or missing "{path}'
    return f"OT_UNEXPECTED_SERVER_RESPONSE: {words}"


def _answered(request: str, kind: str = "") -> str:
    return f'OT_UNEXPECTED_SERVER_RESPONSE: The server answered "{request}" with "{kind}'


def _strange(words: str) -> str:
    """The Python SDK's of what the protocol does not allow."""
    return f"unexpected_server_response: {words}"


def _wrong(kind: str) -> str:
    """The Python SDK's of what is not as the protocol says."""
    return _strange(f"The server sent a message {kind} of a wrong shape")


OTHER_LINE = _strange("The server's offer makes an m-line another one")
STRAYED = _strange("A signal came that is for another member, or from nobody in the session")
UNDECRYPTED_SIGNAL = (
    "encryption_secret_mismatch: A signal could not be decrypted with the present encryption secret"
)


def _told(python: str | tuple[str, ...], browsers: str | tuple[str, ...]) -> Words:
    both = {"python": python, "browsers": browsers}
    return {kind: (words,) if isinstance(words, str) else words for kind, words in both.items()}


OTHER_END = (
    "OT_UNEXPECTED_SERVER_RESPONSE: The other end of a media connection named another certificate"
)
UNSURE = "encryption_internal: The server does not say whether the session is encrypted and routed"
CLEAR = "encryption_internal: An encryption secret was set, but the server says the session is not"
RELAYED = "encryption_internal: The server says that the session is encrypted and relayed"
NOT_HELLO = _strange("The server answered hello with something else")
# A browser says nothing of a WebSocket that it refused.
UNREACHED = "OT_CONNECT_FAILED: The server cannot be reached"
NOT_OURS = "The server does not speak this client's protocol"
OTHER_PROTOCOL = "OT_UNEXPECTED_SERVER_RESPONSE: The server does not speak the protocol of this SDK"
FAILED_BROWSERS = f"OT_UNEXPECTED_SERVER_RESPONSE: {FAILED}"
FAILURE = _told(f"internal: {FAILED}", FAILED_BROWSERS)
DOOR: dict[str, Words] = {
    "relayed": _told(RELAYED, "OT_CONNECT_FAILED: The server says that the encrypted session is"),
    **{
        row: _told(CLEAR, "OT_CONNECT_FAILED: Encryption was asked for")
        for row in ("session-e2ee-false", "relayed-clear")
    },
    **{
        f"session-{name}": _told(UNSURE, NO_SESSION)
        for name in ("e2ee-missing", "e2ee-null", "e2ee-zero", "mode-unknown", "mode-missing")
    },
    "session-missing": _told(
        _wrong("welcome"),
        _misshapen("welcome", "session"),
    ),
    "hello-error": _told(_wrong("error"), _misshapen("error", "number")),
    "offer-before-welcome": _told(NOT_HELLO, _answered("hello", "downlinkOffer")),
    "ok-for-welcome": _told(NOT_HELLO, _answered("hello", "ok")),
    "two-welcomes": _told(_wrong("welcome"), _misshapen("welcome", "re")),
    "other-session": _told(
        "encryption_internal: The server says that this client is in another session", NO_SESSION
    ),
    "text-frames": _told(
        "connect_failed: The server closed the connection",
        "OT_UNEXPECTED_SERVER_RESPONSE: The server sent something that is no message",
    ),
    **{
        f"speaks-{name}": _told(f"connect_failed: {NOT_OURS}", UNREACHED)
        for name in ("json", "old")
    },
    # Firefox itself takes a server that chooses none for one that agrees.
    "speaks-none": {
        "python": (f"connect_failed: {NOT_OURS}",),
        "chromium": (UNREACHED,),
        "firefox": (OTHER_PROTOCOL,),
    },
    "resume-e2ee-false": _told(CLEAR, ANOTHER),
    "resume-relayed": _told(RELAYED, ANOTHER),
    "resume-relayed-clear": _told(CLEAR, ANOTHER),
    "relayed-after-welcome": _told(_wrong("welcome"), _misshapen("welcome", "re")),
    "resume-other-session": _told(
        "encryption_internal: The server says that this client is in another session", ANOTHER
    ),
    # The Python SDK takes the new connection, and loses what it sent and received as the other:
    # over the new one the server calls what it publishes as before.
    "resume-other-connection": _told(_strange("The server gave two streams one id"), ANOTHER),
}
SDP: dict[str, Words] = {
    "replay-second-line": _told(
        "decryption_internal: The server offered one stream twice to one subscriber",
        _offer("a subscriber or an m-line has two tracks"),
    ),
    "told-as-other": {
        "python": ("decryption_internal: The server offered one stream under the name of another",),
        "browsers": (_offer("a subscriber is offered a stream that it did not ask for"),),
        # Of the frames under SSRCs that only the refused offer named.
        "chromium": (BESIDE,),
    },
    **{
        f"down-{name}": _told(
            _strange("The server's offer does more than send"),
            _offer("an m-line does more than send"),
        )
        for name in ("sendrecv", "recvonly")
    },
    "down-inactive": _told(
        _strange("The server's offer does not send what it is said to"),
        _offer("a track is on an m-line that does not send"),
    ),
    "down-datachannel": _told(
        _strange("The server's offer has more than audio and video"),
        _offer("it has the line a=sctp-port"),
    ),
    **{
        f"down-{name}-codec{more}": _told(
            "decryption_codec_unsupported: The audio of a stream comes as pcmu",
            "OT_DECRYPTION_UNSUPPORTED_CODEC: The codec can",
        )
        for name, more in (("strange", "s"), ("clear", ""))
    },
    "down-other-codec": _told(
        "decryption_codec_unsupported: The server's offer has no codec that can be decoded",
        _offer("an m-line has no codec that can be decoded"),
    ),
    "down-rejected": _told(
        _strange("The server's offer does not send what it is said to"),
        _offer("a track is on no m-line of its kind"),
    ),
    "ice-never": _told(
        "media_unreachable: No media path was found",
        "OT_ICE_WORKFLOW_FAILED: The stream did not become live",
    ),
    "ice-never-down": _told(
        "media_unreachable: No media path was found",
        "OT_ICE_WORKFLOW_FAILED: No media connection came about",
    ),
    "ice-consent": _told((), "OT_ICE_WORKFLOW_FAILED: No media can be sent at present"),
    **{
        f"down-other-{name}": _told(
            _strange("The server's offer names another certificate"), OTHER_END
        )
        for name in ("print", "role")
    },
    "down-two-prints": _told(
        _strange("The server's description names two certificates"), OTHER_END
    ),
    "up-other-print": _told(_strange("The server's answer names another certificate"), OTHER_END),
    **{
        f"up-{name}": _told(
            _strange("The server's answer does not receive what is sent"),
            _answer("an m-line does not take what is sent"),
        )
        for name in ("inactive", "inactive-one", "rejected-one")
    },
    "no-handshake": _told("handshake_failed: A media path was found", ()),
    # Browsers' own words.
    "down-moved-types": _told((), "OT_SET_REMOTE_DESCRIPTION_FAILED: "),
    "down-moved-extensions": _told((), "OT_SET_REMOTE_DESCRIPTION_FAILED: "),
    "down-no-lines": _told(OTHER_LINE, _offer("an m-line became another one")),
    "down-mids-swapped": _told(
        "decryption_internal: The server named an m-line that its offer does not have",
        _offer("a track is on no m-line of its kind"),
    ),
    "down-codec-names": _told(
        _wrong("downlinkOffer"), _misshapen("downlinkOffer", "tracks[].codec")
    ),
    "up-two-answers": _told(_wrong("published"), _misshapen("published", "re")),
    "down-broken": _told(
        (
            _strange("The server sent a description that is none"),
            _strange("The server sent a description without m-lines"),
        ),
        (_offer("an m-line became another one"), _offer("an m-line is neither audio nor video")),
    ),
    "no-fingerprint": _told(
        _strange("The server's description names no certificate"),
        "OT_SET_REMOTE_DESCRIPTION_FAILED: ",
    ),
    "wrong-fingerprint": _told(
        "certificate_mismatch: The certificate on the media path is not the one",
        "OT_ICE_WORKFLOW_FAILED: The stream did not become live",
    ),
    **{
        f"up-{name}": _told(
            _strange("The server's answer has no codec that was offered"),
            _answer("it has payload types of its own"),
        )
        for name in ("pcmu", "events")
    },
    **{
        f"up-{name}": _told(
            _strange("The server's answer has other m-lines than the offer"),
            _answer("an m-line became another one"),
        )
        for name in ("other-mids", "swapped-mids")
    },
    **{
        f"up-{name}": _told(
            _strange("The server sent a description without m-lines"),
            _answer("it has other m-lines than the offer"),
        )
        for name in ("no-lines", "broken")
    },
    "up-other-kind": _told(
        _strange("The server's answer has other m-lines than the offer"),
        _answer("an m-line became another one"),
    ),
    "up-renamed": _told(
        _strange("The server's answer has no codec that was offered"),
        _answer("it has codecs of its own"),
    ),
    "up-extensions": _told((), _answer("it has header extensions of its own")),
    "up-repairing": _told((), _answer("it has retransmissions of its own")),
    "up-mixed-ends": _told((), _answer("its lines end in different ways")),
    "up-sendonly": _told(
        _strange("The server's answer does more than receive"),
        _answer("an m-line does more than receive"),
    ),
    "down-two-mids": _told(
        OTHER_LINE,
        _offer("an m-line has not exactly one mid"),
    ),
    "down-mixed-ends": _told((), _offer("its lines end in different ways")),
    "down-rid": _told((), _offer("it has the line a=rid")),
    "down-one-mid": _told(
        _strange("The server gave two m-lines one mid"), _offer("a mid comes twice")
    ),
    "down-many-lines": _told(
        _strange("The server sent a description with too many m-lines"),
        _offer("it has more than 1024 m-lines"),
    ),
    "down-heavy": _told(_strange("The server sent a description with too many lines"), ()),
    "restart-error": _told((), FAILED_BROWSERS),
    **{row: _told((), OTHER_END) for row in ("restart-fingerprint", "restart-role")},
    "restart-pcmu": _told((), _answer("it has payload types of its own")),
    "restart-rids": _told((), _answer("it has layers of its own")),
    "restart-mids": _told((), _answer("an m-line became another one")),
    "up-red": _told((), _answer("it has payload types of its own")),
    "up-moved-types": _told((), _answer("it has payload types of its own")),
    "up-rids": _told((), _answer("it has layers of its own")),
    "up-sendrecv": _told(
        _strange("The server's answer does more than receive"), _answer("it has the line a=msid")
    ),
}
ANSWERS: dict[str, Words] = {
    "up-error": FAILURE,
    "up-silence": _told(
        "request_timeout: The server did not answer publish",
        "OT_TIMEOUT: The server did not answer in time",
    ),
    "up-pong": _told(
        _strange("The server answered publish with something else"),
        _answered("publish", "pong"),
    ),
    "sub-error": FAILURE,
    "sub-silence": _told(
        "request_timeout: The server did not answer subscribe",
        "OT_ICE_WORKFLOW_FAILED: No media connection came about",
    ),
    "sub-pong": _told(
        _strange("The server answered subscribe with something else"),
        _answered("subscribe", "pong"),
    ),
    "one-id-for-two": _told(
        _strange("The server gave two streams one id"),
        "OT_UNEXPECTED_SERVER_RESPONSE: The server gave a published stream the id of another",
    ),
    # The Python SDK changes its secret whatever a server answers, and has nobody to tell.
    **{
        f"{row}-{kind}-error": _told((), FAILURE["browsers"])
        for row in ("evict", "change")
        for kind in ("e2eeReady", "declareKids")
    },
    **{
        f"{kind}-error": FAILURE
        for kind in ("downlinkAnswer", "e2eeState", "signal", "updateStream", "updateSubscriber")
    },
    # Browsers' `unpublish` and `unsubscribe` give the application no promise: both are done.
    "unpublish-error": _told(FAILURE["python"], ()),
    "unsubscribe-error": _told(FAILURE["python"], ()),
}
EVENTS: dict[str, Words] = {
    "hints-misshaped": _told(
        _strange("The server sent a message hintAnnounced of a wrong shape"),
        _misshapen("hintAnnounced", "hint"),
    ),
    "signal-of-other": _told((UNDECRYPTED_SIGNAL, STRAYED), (MISMATCHED, STRANGER)),
    "signal-clear": _told(
        _strange("A signal in the clear claimed to"),
        "OT_UNEXPECTED_SERVER_RESPONSE: A signal in the clear claimed to",
    ),
    "signal-to-other": _told(STRAYED, STRANGER),
    "signal-changed": _told(UNDECRYPTED_SIGNAL, MISMATCHED),
    "unasked": _told(
        ("internal: x", _wrong("welcome"), STRAYED, _strange(NO_ARCHIVE), _strange(NO_CAPTIONS)),
        (UNDECRYPTED, STRANGER, *IMPOSSIBLE),
    ),
    "captions": _told(_strange(NO_CAPTIONS), IMPOSSIBLE[1]),
    "archives": _told(_strange(NO_ARCHIVE), IMPOSSIBLE[0]),
    "not-encrypted": _told(
        (), "OT_ENCRYPTION_INTERNAL_ERROR: Frames could not be encrypted or decrypted"
    ),
    "strange-streams": _told(f"stream_not_found: {FAILED}", ()),
    "speakers": _told(
        _strange("The server sent a message activeSpeaker of a wrong shape"),
        _misshapen("activeSpeaker", "streamId"),
    ),
    "misshapen": _told(
        _strange("The server sent a message "),
        (
            *(_misshapen(kind) for kind in KINDS if kind not in NEVER_MISSHAPEN),
            # Members that are texts: of an archive these are of the right shape.
            IMPOSSIBLE[0],
        ),
    ),
}
NO_PRINT = SDP["no-fingerprint"]
TURNED = _told(
    (
        _wrong("welcome"),
        _strange("The server's offer does more than send"),
        _strange("The server's answer has no codec that was offered"),
    ),
    (
        _misshapen("welcome", "re"),
        _offer("an m-line does more than send"),
        _answer("it has payload types of its own"),
    ),
)
TURNS: dict[str, Words] = {f"turns-{when}": TURNED for when in ("later", "resumed", "rekeyed")}
CHANGED = _told(
    "encryption_internal: The server says something else about the session than when it was joined",
    ANOTHER,
)
PEERS: dict[str, Words] = {
    "peers": _told(
        "invalid_parameter: The session is not encrypted end to end",
        "OT_CONNECT_FAILED: Encryption was asked for",
    ),
    **{
        f"peer-offer-{name}": _told(
            _strange("The server's offer does more than send"),
            _passed_on("an offer", "an m-line does more than send"),
        )
        for name in ("sendrecv", "recvonly")
    },
    "peer-offer-one-mid": _told(
        _strange("The server gave two m-lines one mid"),
        _passed_on("an offer", "a mid comes twice"),
    ),
    "peer-offer-extra-line": _told(
        _strange("The server's offer has two m-lines of a kind"),
        _passed_on("an offer", "it has two m-lines of a kind"),
    ),
    "peer-offer-datachannel": _told(
        _strange("The server's offer has more than audio and video"),
        _passed_on("an offer", "it has the line a=sctp-port"),
    ),
    "peer-offer-no-print": NO_PRINT,
    "peer-answer-no-print": NO_PRINT,
    **{
        f"peer-answer-{name}": _told(
            _strange("The server's answer does more than receive"),
            _passed_on("an answer", "an m-line does more than receive"),
        )
        for name in ("sendrecv", "sendonly")
    },
    **{
        f"peer-answer-{name}": _told(
            _strange("The server's answer does not receive what is sent"),
            _passed_on("an answer", "an m-line does not take what is sent"),
        )
        for name in ("inactive", "inactive-one", "rejected-one")
    },
    **{
        f"peer-offer-no-{name}": _told(
            "decryption_codec_unsupported: The server's offer has no codec that can be decoded",
            _passed_on("an offer", "an m-line has no codec that can be decoded"),
        )
        for name in ("codec", "video")
    },
    "peer-answer-mids": _told(
        _strange("The server's answer has other m-lines than the offer"),
        _passed_on("an answer", "an m-line became another one"),
    ),
    **{
        f"peer-{type_}-crossed": _told(
            "media_unreachable: No media path was found",
            "OT_ICE_WORKFLOW_FAILED: No media connection came about",
        )
        for type_ in ("offer", "answer")
    },
    "peer-answer-half": _told(
        _strange("The server's answer has other m-lines than the offer"),
        _passed_on("an answer", "it has other m-lines than the offer"),
    ),
    "peer-answer-codecs": _told(
        _strange("The server's answer has no codec that was offered"),
        _passed_on("an answer", "it has codecs of its own"),
    ),
    "peers-resume-routed": CHANGED,
    "peers-resume-encrypted": CHANGED,
    "routed-resume-relayed": CHANGED,
}
ERRORS = DOOR | SDP | ANSWERS | EVENTS | PEERS | TURNS
SOMETIMES: dict[str, Words] = {
    # The end of the first connection may come before or after the offer of the second.
    "peer-again": _told(_strange("The server's offer names another certificate"), OTHER_END),
    # Chromium opens a track for an SSRC that no offer named if it comes between two descriptions.
    "clear-strange-ssrc": {"chromium": (BESIDE,)},
    # Who hears of the stream that is refused and given back asks for it too late.
    **{row: _told(f"stream_not_found: {FAILED}", ENDED) for row in ("up-other-print", *TURNS)},
    # What comes unasked over the downlink may keep its path alive for a browser.
    "ice-consent": _told((), "OT_ICE_WORKFLOW_FAILED: No media can be received at present"),
    # A signal under the new secret that overtakes the own change of it.
    "hints-false": _told((), MISMATCHED),
    # A request of the browser's own that waits meanwhile, such as a restart of ICE.
    "foreign-answers": _told((), _answered("restartIce")),
    # A subscription that was just about to begin when its stream ended.
    "unpublish-error": _told(
        f"stream_not_found: {FAILED}", "OT_STREAM_DESTROYED: The stream ended"
    ),
    # The words of `error` are the server's, as it sent them.
    "misshapen": _told(("internal: ", "None: None"), ()),
}


def errors_of(row: str, kind: str) -> tuple[str, ...]:
    """The errors that this kind of client tells in a row."""
    return _of(ERRORS, row, kind)


def sometimes_of(row: str, kind: str) -> tuple[str, ...]:
    """Those that timing decides of."""
    return _of(SOMETIMES, row, kind)


def _of(table: dict[str, Words], row: str, kind: str) -> tuple[str, ...]:
    words = table.get(row, {})
    return (*words.get(kind, ()), *(() if kind == "python" else words.get("browsers", ())))
