"""What people are told, by row: each error's code and how its words begin; all of them, no other.

A row that is not here tells nobody of an error. `browsers`: both of them.
"""

from tests.hostile.lies.sentences import (
    ANOTHER,
    BESIDE,
    CLEAR,
    ENDED,
    FAILED,
    FAILED_BROWSERS,
    FAILURE,
    IMPOSSIBLE,
    KINDS,
    MISMATCHED,
    NEVER_MISSHAPEN,
    NO_ARCHIVE,
    NO_CAPTIONS,
    NO_SESSION,
    NOT_HELLO,
    NOT_OURS,
    OTHER_END,
    OTHER_LINE,
    OTHER_PROTOCOL,
    RELAYED,
    STRANGER,
    STRAYED,
    UNDECRYPTED,
    UNDECRYPTED_SIGNAL,
    UNREACHED,
    UNSURE,
    Words,
    answer,
    answered,
    misshapen,
    offer,
    passed_on,
    strange,
    told,
    wrong,
)

DOOR: dict[str, Words] = {
    "relayed": told(RELAYED, "OT_CONNECT_FAILED: The server says that the encrypted session is"),
    **{
        row: told(CLEAR, "OT_CONNECT_FAILED: Encryption was asked for")
        for row in ("session-e2ee-false", "relayed-clear")
    },
    **{
        f"session-{name}": told(UNSURE, NO_SESSION)
        for name in ("e2ee-missing", "e2ee-null", "e2ee-zero", "mode-unknown", "mode-missing")
    },
    "session-missing": told(
        wrong("welcome"),
        misshapen("welcome", "session"),
    ),
    "hello-error": told(wrong("error"), misshapen("error", "number")),
    "offer-before-welcome": told(NOT_HELLO, answered("hello", "downlinkOffer")),
    "ok-for-welcome": told(NOT_HELLO, answered("hello", "ok")),
    "two-welcomes": told(wrong("welcome"), misshapen("welcome", "re")),
    "other-session": told(
        "encryption_internal: The server says that this client is in another session", NO_SESSION
    ),
    "text-frames": told(
        "connect_failed: The server closed the connection",
        "OT_UNEXPECTED_SERVER_RESPONSE: The server sent something that is no message",
    ),
    **{
        f"speaks-{name}": told(f"connect_failed: {NOT_OURS}", UNREACHED) for name in ("json", "old")
    },
    # Firefox itself takes a server that chooses none for one that agrees.
    "speaks-none": {
        "python": (f"connect_failed: {NOT_OURS}",),
        "chromium": (UNREACHED,),
        "firefox": (OTHER_PROTOCOL,),
    },
    "resume-e2ee-false": told(CLEAR, ANOTHER),
    "resume-relayed": told(RELAYED, ANOTHER),
    "resume-relayed-clear": told(CLEAR, ANOTHER),
    "relayed-after-welcome": told(wrong("welcome"), misshapen("welcome", "re")),
    "resume-other-session": told(
        "encryption_internal: The server says that this client is in another session", ANOTHER
    ),
    # The Python SDK takes the new connection, and loses what it sent and received as the other:
    # over the new one the server calls what it publishes as before.
    "resume-other-connection": told(strange("The server gave two streams one id"), ANOTHER),
}
SDP: dict[str, Words] = {
    "replay-second-line": told(
        "decryption_internal: The server offered one stream twice to one subscriber",
        offer("a subscriber or an m-line has two tracks"),
    ),
    "told-as-other": {
        "python": ("decryption_internal: The server offered one stream under the name of another",),
        "browsers": (offer("a subscriber is offered a stream that it did not ask for"),),
        # Of the frames under SSRCs that only the refused offer named.
        "chromium": (BESIDE,),
    },
    **{
        f"down-{name}": told(
            strange("The server's offer does more than send"),
            offer("an m-line does more than send"),
        )
        for name in ("sendrecv", "recvonly")
    },
    "down-inactive": told(
        strange("The server's offer does not send what it is said to"),
        offer("a track is on an m-line that does not send"),
    ),
    "down-datachannel": told(
        strange("The server's offer has more than audio and video"),
        offer("it has the line a=sctp-port"),
    ),
    **{
        f"down-{name}-codec{more}": told(
            "decryption_codec_unsupported: The audio of a stream comes as pcmu",
            "OT_DECRYPTION_UNSUPPORTED_CODEC: The codec can",
        )
        for name, more in (("strange", "s"), ("clear", ""))
    },
    "down-other-codec": told(
        "decryption_codec_unsupported: The server's offer has no codec that can be decoded",
        offer("an m-line has no codec that can be decoded"),
    ),
    "down-rejected": told(
        strange("The server's offer does not send what it is said to"),
        offer("a track is on no m-line of its kind"),
    ),
    "ice-never": told(
        "media_unreachable: No media path was found",
        "OT_ICE_WORKFLOW_FAILED: The stream did not become live",
    ),
    "ice-never-down": told(
        "media_unreachable: No media path was found",
        "OT_ICE_WORKFLOW_FAILED: No media connection came about",
    ),
    "ice-consent": told((), "OT_ICE_WORKFLOW_FAILED: No media can be sent at present"),
    **{
        f"down-other-{name}": told(
            strange("The server's offer names another certificate"), OTHER_END
        )
        for name in ("print", "role")
    },
    "down-two-prints": told(strange("The server's description names two certificates"), OTHER_END),
    "up-other-print": told(strange("The server's answer names another certificate"), OTHER_END),
    **{
        f"up-{name}": told(
            strange("The server's answer does not receive what is sent"),
            answer("an m-line does not take what is sent"),
        )
        for name in ("inactive", "inactive-one", "rejected-one")
    },
    "no-handshake": told("handshake_failed: A media path was found", ()),
    # Browsers' own words.
    "down-moved-types": told((), "OT_SET_REMOTE_DESCRIPTION_FAILED: "),
    "down-moved-extensions": told((), "OT_SET_REMOTE_DESCRIPTION_FAILED: "),
    "down-no-lines": told(OTHER_LINE, offer("an m-line became another one")),
    "down-mids-swapped": told(
        "decryption_internal: The server named an m-line that its offer does not have",
        offer("a track is on no m-line of its kind"),
    ),
    "down-codec-names": told(wrong("downlinkOffer"), misshapen("downlinkOffer", "tracks[].codec")),
    "up-two-answers": told(wrong("published"), misshapen("published", "re")),
    "down-broken": told(
        (
            strange("The server sent a description that is none"),
            strange("The server sent a description without m-lines"),
        ),
        (offer("an m-line became another one"), offer("an m-line is neither audio nor video")),
    ),
    "no-fingerprint": told(
        strange("The server's description names no certificate"),
        "OT_SET_REMOTE_DESCRIPTION_FAILED: ",
    ),
    "wrong-fingerprint": told(
        "certificate_mismatch: The certificate on the media path is not the one",
        "OT_ICE_WORKFLOW_FAILED: The stream did not become live",
    ),
    **{
        f"up-{name}": told(
            strange("The server's answer has no codec that was offered"),
            answer("it has payload types of its own"),
        )
        for name in ("pcmu", "events")
    },
    **{
        f"up-{name}": told(
            strange("The server's answer has other m-lines than the offer"),
            answer("an m-line became another one"),
        )
        for name in ("other-mids", "swapped-mids")
    },
    **{
        f"up-{name}": told(
            strange("The server sent a description without m-lines"),
            answer("it has other m-lines than the offer"),
        )
        for name in ("no-lines", "broken")
    },
    "up-other-kind": told(
        strange("The server's answer has other m-lines than the offer"),
        answer("an m-line became another one"),
    ),
    "up-renamed": told(
        strange("The server's answer has no codec that was offered"),
        answer("it has codecs of its own"),
    ),
    "up-extensions": told((), answer("it has header extensions of its own")),
    "up-repairing": told((), answer("it has retransmissions of its own")),
    "up-mixed-ends": told((), answer("its lines end in different ways")),
    "up-sendonly": told(
        strange("The server's answer does more than receive"),
        answer("an m-line does more than receive"),
    ),
    "down-two-mids": told(
        OTHER_LINE,
        offer("an m-line has not exactly one mid"),
    ),
    "down-mixed-ends": told((), offer("its lines end in different ways")),
    "down-rid": told((), offer("it has the line a=rid")),
    "down-one-mid": told(
        strange("The server gave two m-lines one mid"), offer("a mid comes twice")
    ),
    "down-many-lines": told(
        strange("The server sent a description with too many m-lines"),
        offer("it has more than 1024 m-lines"),
    ),
    "down-heavy": told(strange("The server sent a description with too many lines"), ()),
    "restart-error": told((), FAILED_BROWSERS),
    **{row: told((), OTHER_END) for row in ("restart-fingerprint", "restart-role")},
    "restart-pcmu": told((), answer("it has payload types of its own")),
    "restart-rids": told((), answer("it has layers of its own")),
    "restart-mids": told((), answer("an m-line became another one")),
    "up-red": told((), answer("it has payload types of its own")),
    "up-moved-types": told((), answer("it has payload types of its own")),
    "up-rids": told((), answer("it has layers of its own")),
    "up-sendrecv": told(
        strange("The server's answer does more than receive"), answer("it has the line a=msid")
    ),
}
ANSWERS: dict[str, Words] = {
    "up-error": FAILURE,
    "up-silence": told(
        "request_timeout: The server did not answer publish",
        "OT_TIMEOUT: The server did not answer in time",
    ),
    "up-pong": told(
        strange("The server answered publish with something else"),
        answered("publish", "pong"),
    ),
    "sub-error": FAILURE,
    "sub-silence": told(
        "request_timeout: The server did not answer subscribe",
        "OT_ICE_WORKFLOW_FAILED: No media connection came about",
    ),
    "sub-pong": told(
        strange("The server answered subscribe with something else"),
        answered("subscribe", "pong"),
    ),
    "one-id-for-two": told(
        strange("The server gave two streams one id"),
        "OT_UNEXPECTED_SERVER_RESPONSE: The server gave a published stream the id of another",
    ),
    # The Python SDK changes its secret whatever a server answers, and has nobody to tell.
    **{
        f"{row}-{kind}-error": told((), FAILURE["browsers"])
        for row in ("evict", "change")
        for kind in ("e2eeReady", "declareKids")
    },
    **{
        f"{kind}-error": FAILURE
        for kind in ("downlinkAnswer", "e2eeState", "signal", "updateStream", "updateSubscriber")
    },
    # Browsers' `unpublish` and `unsubscribe` give the application no promise: both are done.
    "unpublish-error": told(FAILURE["python"], ()),
    "unsubscribe-error": told(FAILURE["python"], ()),
}
EVENTS: dict[str, Words] = {
    "hints-misshaped": told(
        strange("The server sent a message hintAnnounced of a wrong shape"),
        misshapen("hintAnnounced", "hint"),
    ),
    "signal-of-other": told((UNDECRYPTED_SIGNAL, STRAYED), (MISMATCHED, STRANGER)),
    "signal-clear": told(
        strange("A signal in the clear claimed to"),
        "OT_UNEXPECTED_SERVER_RESPONSE: A signal in the clear claimed to",
    ),
    "signal-to-other": told(STRAYED, STRANGER),
    "signal-changed": told(UNDECRYPTED_SIGNAL, MISMATCHED),
    "unasked": told(
        ("internal: x", wrong("welcome"), STRAYED, strange(NO_ARCHIVE), strange(NO_CAPTIONS)),
        (UNDECRYPTED, STRANGER, *IMPOSSIBLE),
    ),
    "captions": told(strange(NO_CAPTIONS), IMPOSSIBLE[1]),
    "archives": told(strange(NO_ARCHIVE), IMPOSSIBLE[0]),
    "not-encrypted": told(
        (), "OT_ENCRYPTION_INTERNAL_ERROR: Frames could not be encrypted or decrypted"
    ),
    "strange-streams": told(f"stream_not_found: {FAILED}", ()),
    "speakers": told(
        strange("The server sent a message activeSpeaker of a wrong shape"),
        misshapen("activeSpeaker", "streamId"),
    ),
    "misshapen": told(
        strange("The server sent a message "),
        (
            *(misshapen(kind) for kind in KINDS if kind not in NEVER_MISSHAPEN),
            # Members that are texts: of an archive these are of the right shape.
            IMPOSSIBLE[0],
        ),
    ),
}
NO_PRINT = SDP["no-fingerprint"]
TURNED = told(
    (
        wrong("welcome"),
        strange("The server's offer does more than send"),
        strange("The server's answer has no codec that was offered"),
    ),
    (
        misshapen("welcome", "re"),
        offer("an m-line does more than send"),
        answer("it has payload types of its own"),
    ),
)
TURNS: dict[str, Words] = {f"turns-{when}": TURNED for when in ("later", "resumed", "rekeyed")}
CHANGED = told(
    "encryption_internal: The server says something else about the session than when it was joined",
    ANOTHER,
)
PEERS: dict[str, Words] = {
    "peers": told(
        "invalid_parameter: The session is not encrypted end to end",
        "OT_CONNECT_FAILED: Encryption was asked for",
    ),
    **{
        f"peer-offer-{name}": told(
            strange("The server's offer does more than send"),
            passed_on("an offer", "an m-line does more than send"),
        )
        for name in ("sendrecv", "recvonly")
    },
    "peer-offer-one-mid": told(
        strange("The server gave two m-lines one mid"),
        passed_on("an offer", "a mid comes twice"),
    ),
    "peer-offer-extra-line": told(
        strange("The server's offer has two m-lines of a kind"),
        passed_on("an offer", "it has two m-lines of a kind"),
    ),
    "peer-offer-datachannel": told(
        strange("The server's offer has more than audio and video"),
        passed_on("an offer", "it has the line a=sctp-port"),
    ),
    "peer-offer-no-print": NO_PRINT,
    "peer-answer-no-print": NO_PRINT,
    **{
        f"peer-answer-{name}": told(
            strange("The server's answer does more than receive"),
            passed_on("an answer", "an m-line does more than receive"),
        )
        for name in ("sendrecv", "sendonly")
    },
    **{
        f"peer-answer-{name}": told(
            strange("The server's answer does not receive what is sent"),
            passed_on("an answer", "an m-line does not take what is sent"),
        )
        for name in ("inactive", "inactive-one", "rejected-one")
    },
    **{
        f"peer-offer-no-{name}": told(
            "decryption_codec_unsupported: The server's offer has no codec that can be decoded",
            passed_on("an offer", "an m-line has no codec that can be decoded"),
        )
        for name in ("codec", "video")
    },
    "peer-answer-mids": told(
        strange("The server's answer has other m-lines than the offer"),
        passed_on("an answer", "an m-line became another one"),
    ),
    **{
        f"peer-{type_}-crossed": told(
            "media_unreachable: No media path was found",
            "OT_ICE_WORKFLOW_FAILED: No media connection came about",
        )
        for type_ in ("offer", "answer")
    },
    "peer-answer-half": told(
        strange("The server's answer has other m-lines than the offer"),
        passed_on("an answer", "it has other m-lines than the offer"),
    ),
    "peer-answer-codecs": told(
        strange("The server's answer has no codec that was offered"),
        passed_on("an answer", "it has codecs of its own"),
    ),
    "peers-resume-routed": CHANGED,
    "peers-resume-encrypted": CHANGED,
    "routed-resume-relayed": CHANGED,
}
ERRORS = DOOR | SDP | ANSWERS | EVENTS | PEERS | TURNS
SOMETIMES: dict[str, Words] = {
    # The end of the first connection may come before or after the offer of the second.
    "peer-again": told(strange("The server's offer names another certificate"), OTHER_END),
    # Chromium opens a track for an SSRC that no offer named if it comes between two descriptions.
    "clear-strange-ssrc": {"chromium": (BESIDE,)},
    # Who hears of the stream that is refused and given back asks for it too late.
    **{row: told(f"stream_not_found: {FAILED}", ENDED) for row in ("up-other-print", *TURNS)},
    # What comes unasked over the downlink may keep its path alive for a browser.
    "ice-consent": told((), "OT_ICE_WORKFLOW_FAILED: No media can be received at present"),
    # A signal under the new secret that overtakes the own change of it.
    "hints-false": told((), MISMATCHED),
    # A request of the browser's own that waits meanwhile, such as a restart of ICE.
    "foreign-answers": told((), answered("restartIce")),
    # A subscription that was just about to begin when its stream ended.
    "unpublish-error": told(f"stream_not_found: {FAILED}", "OT_STREAM_DESTROYED: The stream ended"),
    # The words of `error` are the server's, as it sent them.
    "misshapen": told(("internal: ", "None: None"), ()),
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
