"""The rules of a client that no message says: times, limits, close codes, what answers what.

Both SDKs read them from here (`signaling/spec/sdk_rules.py` writes their tables), so that no SDK
has a rule of its own. A rule of one server setting is not here: `welcome` has it.
"""

from dataclasses import dataclass
from typing import Final

from signaling.domain import signals
from signaling.domain.errors import ERRORS, FLOOD, ErrorCode, Unavailable
from signaling.protocol import codec
from signaling.protocol.counting import CONTAINER_VALUES
from signaling.protocol.messages import E2EE_FORMAT, SUBPROTOCOL_MSGPACK

ANSWERS: Final = {
    "hello": "welcome",
    "publish": "published",
    "subscribe": "subscribed",
    "restartIce": "iceRestarted",
    "ping": "pong",
}
"""What answers each request; `ok` answers all others, and a `restartIce` of the downlink, where a
`downlinkOffer` follows."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A number or a text. A name that ends in `_MS` is a time in milliseconds; Python has it in
    seconds, under a name that ends in `_S`."""

    name: str
    value: int | str
    about: str


RULES: Final = (
    Rule("SUBPROTOCOL", SUBPROTOCOL_MSGPACK, "The WebSocket subprotocol of this client."),
    Rule("E2EE_FORMAT", E2EE_FORMAT, "The only end-to-end encryption format."),
    Rule(
        "SENDER_STATS_SIGNAL",
        "sealroute-sender-stats",
        "The type of signals in which publishers tell of their way to the server; no event.",
    ),
    Rule(
        "ARCHIVE_STARTED_SIGNAL",
        "archiveStarted",
        "The type of encrypted signals in which a member says that it records.",
    ),
    Rule("ARCHIVE_STOPPED_SIGNAL", "archiveStopped", "And that it no longer does."),
    Rule("MAX_MEMBER_ARCHIVES", 10, "Of one member at a time: those beyond are not shown."),
    # --- sizes ------------------------------------------------------------------------------
    Rule("MAX_REQUEST_BYTES", codec.MAX_MESSAGE_BYTES, "The server closes for a longer one."),
    Rule("MAX_MESSAGE_BYTES", 1_048_576, "Of a message of the server."),
    Rule("MAX_MESSAGE_DEPTH", codec.MAX_DEPTH, "Levels of nesting in a message of the server."),
    Rule("MAX_MESSAGE_VALUES", 262_144, "A welcome to 3,000 members that publish has 160,000."),
    Rule("CONTAINER_VALUES", CONTAINER_VALUES, "Of an array or a map, in addition to its members."),
    Rule("MAX_INTEGER", codec.MAX_INTEGER, "Every client reads integers up to here exactly."),
    Rule("MAX_ID_UNITS", 256, "UTF-16 code units of an id."),
    Rule("MAX_SIGNAL_TYPE_BYTES", signals.MAX_TYPE_BYTES, "Of the UTF-8 of a signal's type."),
    Rule("MAX_SIGNAL_DATA_BYTES", signals.MAX_DATA_BYTES, "Of the UTF-8 of a signal's data."),
    Rule("MAX_ENCRYPTED_SIGNAL_BYTES", 16_384, "More than the longest signal of a member."),
    Rule("MAX_M_LINES", 1_024, "Of an offer: more than any subscriber needs."),
    Rule("MAX_PEER_CANDIDATES", 64, "Relayed: of the other end, more than any network has."),
    Rule("MAX_PEERS", 128, "Relayed: more than a client could send its media to."),
    # --- the WebSocket ----------------------------------------------------------------------
    Rule("OPEN_TIMEOUT_MS", 10_000, "For the WebSocket to open, and then for the welcome."),
    Rule("REQUEST_TIMEOUT_MS", 20_000, "For the answer to a request."),
    Rule("FIRST_RETRY_MS", 200, "The longest wait before the first attempt to resume."),
    Rule("MAX_RETRY_MS", 3_000, "The wait doubles with each attempt, up to this."),
    Rule("STAYED_UP_MS", 10_000, "A WebSocket that ends sooner was of no use."),
    Rule("RECONNECT_FOR_MS", 120_000, "So long without a WebSocket of use is the end."),
    Rule("MIN_KEEP_ALIVE_MS", 100, "Below this a client would do nothing but ping."),
    Rule("MAX_KEEP_ALIVE_MS", 120_000, "The longest that a server can be configured to."),
    Rule("DEFAULT_KEEP_ALIVE_MS", 15_000, "If the server gives no usable number."),
    Rule("MAX_GRACE_MS", 600_000, "How long a client tries to resume at most."),
    Rule("DEFAULT_GRACE_MS", 60_000, "If the server gives no usable number."),
    # --- lost media transports --------------------------------------------------------------
    Rule("FIRST_LOSS_MS", 500, "The wait after the second loss of a transport."),
    Rule("MAX_LOSS_MS", 30_000, "The wait doubles with each loss, up to this."),
    Rule("LOSS_QUIET_MS", 60_000, "Losses count from the start after so long without one."),
    Rule("MAX_LOSSES", 10, "After so many a client gives up."),
    # --- the encryption secret (docs/e2ee.md section 9) -------------------------------------
    Rule("SWITCH_AFTER_MS", 5_000, "Senders switch to a new secret after this at the latest."),
    Rule("OLD_KIDS_MS", 10_000, "How long old key ids stay declared: late packets use them."),
    Rule("MAX_OLD_KIDS", 6, "The server takes eight for a track: these, the present, the next."),
    Rule("MAX_SECRETS", 3, "How many secrets a client can decrypt with."),
    Rule("SECRET_IDLE_MS", 10_000, "An old secret ends this long after its last frame."),
    Rule("SECRET_OVERLAP_MS", 60_000, "An old secret ends this long after it was replaced."),
    # --- mismatch (section 8) ---------------------------------------------------------------
    Rule("MISMATCH_FAILURES", 5, "So many frames in a row fail before a mismatch is reported."),
    Rule("MISMATCH_SPAN_MS", 400, "They fail for this long: a change that spreads is none."),
    Rule("SPAN_AFTER_CHANGE_MS", 2_000, "The same span right after a change of the secret."),
    Rule("CHANGE_GRACE_MS", 5_000, "How long after a change that span counts."),
    Rule("REPORT_EVERY_MS", 5_000, "How often a mismatch that lasts is reported to the server."),
    # --- replay and identity (section 7) ----------------------------------------------------
    Rule("DERIVATIONS_PER_S", 20, "Keys derived for one stream: anybody can invent key ids."),
    Rule("ALL_DERIVATIONS_PER_S", 60, "Keys derived for all streams."),
    Rule("MAX_COUNTER", 2**32, "Frames under one key."),
    Rule("MAX_ACTIVE_CONTEXTS", 8, "Key ids of one stream and kind in use at once."),
    Rule("OLD_CONTEXT_MS", 10_000, "How long frames under an older key id may still arrive."),
    Rule("AUDIO_WINDOW", 128, "Frames by which audio may be reordered: 2.5 s."),
    Rule("VIDEO_WINDOW", 1_024, "Frames by which video may be reordered."),
    Rule("SIGNAL_WINDOW", 128, "Signals by which signals may be reordered."),
)

PASSING: Final = tuple(
    sorted(
        {code.value for code, row in ERRORS.items() if row.kind is Unavailable}
        - {ErrorCode.FEATURE_UNAVAILABLE.value}
        | {ErrorCode.RATE_LIMITED.value}
    )
)
"""Refusals of a client that resumes after which it tries again; any other is the end."""


@dataclass(frozen=True, slots=True)
class FinalClose:
    """A close code after which a client must not come back: the same would happen again.

    `error`: what the application gets beside the end, with `message` for its user."""

    close_code: int
    error: ErrorCode | None = None
    message: str = ""


FINAL_CLOSES: Final = (
    FinalClose(1009, ErrorCode.MESSAGE_TOO_LARGE, "A message was too large for the server"),
    FinalClose(4400, ErrorCode.INVALID_MESSAGE, "The server refused too many messages"),
    FinalClose(4403),
    FinalClose(
        FLOOD,
        ErrorCode.MESSAGE_FLOOD,
        "This client sent more than the server allows and was disconnected; send less, and join"
        " again",
    ),
)
