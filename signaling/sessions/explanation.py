"""What an explanation says: for each subscriber of a stream, what it receives and why not more.

Every reason has a stable code and a sentence; the most important one comes first. `explain.py` has
the rules.
"""

from dataclasses import dataclass
from enum import StrEnum

from sfu.core_api import MediaKind
from sfu.ids import ConnectionId, SubscriberId
from sfu.media_view import EncodingView
from signaling.domain.session_state import Stream


class Code(StrEnum):
    """Stable names of reasons."""

    NOT_SUBSCRIBED = "not_subscribed"
    RELAYED = "relayed"
    NOT_CONNECTED = "not_connected"
    NOT_ANSWERING = "not_answering"
    TOO_LARGE = "send_too_large"
    NOT_SENT = "not_sent"
    PUBLISHER_NOT_CONNECTED = "publisher_not_connected"
    NO_TRACK = "no_track"
    MUTED_BY_MODERATOR = "muted_by_moderator"
    MUTED_BY_PUBLISHER = "muted_by_publisher"
    NOT_WANTED = "not_wanted"
    SECRET_MISMATCH = "secret_mismatch"  # noqa: S105 - the name of a reason
    NOT_ENCRYPTED = "not_encrypted"
    PUBLISHER_SILENT = "publisher_silent"
    NO_KEY_FRAME = "no_key_frame"
    WITHHELD = "withheld"
    BANDWIDTH = "bandwidth_estimate"
    QUIET_VOICE = "quiet_voice"
    TAP_BEHIND = "tap_behind"
    LOSS = "loss"
    PREFERENCE = "preference_limit"
    LAYER_PAUSED = "layer_paused"
    BEST = "best_available"


SENTENCES: dict[Code, str] = {
    Code.NOT_SUBSCRIBED: "The client has not subscribed to the stream.",
    Code.RELAYED: "Media of a relayed session goes from client to client, not through the server.",
    Code.NOT_CONNECTED: "The subscriber's media connection is not established yet, or was lost.",
    Code.NOT_ANSWERING: (
        "Nothing has arrived from the subscriber's address for some time: it lost its network, or "
        "its device sleeps."
    ),
    Code.TOO_LARGE: (
        "The publisher's packets exceed the MTU of the subscriber's path (a VPN, a tunnel): limit "
        "its encoder to packets of 1,200 bytes."
    ),
    Code.NOT_SENT: "The server could not send the media to the subscriber's address.",
    Code.PUBLISHER_NOT_CONNECTED: "The publisher's media connection is not established yet.",
    Code.NO_TRACK: "The stream has no track of this kind.",
    Code.MUTED_BY_MODERATOR: "A moderator has muted the stream, and its publisher has not unmuted.",
    Code.MUTED_BY_PUBLISHER: "The publisher has turned this track off.",
    Code.NOT_WANTED: "The subscriber has turned this track off.",
    Code.SECRET_MISMATCH: "The subscriber cannot decrypt the stream: it has a different secret.",
    Code.NOT_ENCRYPTED: "The publisher sends unencrypted frames; the server drops them.",
    Code.PUBLISHER_SILENT: "The publisher sends no packets of this track.",
    Code.NO_KEY_FRAME: "No key frame has arrived since the subscriber started or switched layers.",
    Code.WITHHELD: "The media core does not forward the track to the subscriber.",
    Code.BANDWIDTH: "The bandwidth estimate of the subscriber's link allows no more.",
    Code.QUIET_VOICE: "Muted by level: this large session forwards only its loudest speakers.",
    Code.TAP_BEHIND: "The recorder reads too slowly: it gets no video, so that it gets all audio.",
    Code.LOSS: "The subscriber reports lost packets.",
    Code.PREFERENCE: "The subscriber prefers no higher resolution or frame rate.",
    Code.LAYER_PAUSED: "The publisher does not currently send a better layer.",
    Code.BEST: "The subscriber receives the best quality that the publisher sends.",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """`detail`: the media core's name of the reason, if any."""

    code: Code
    detail: str | None = None

    @property
    def message(self) -> str:
        return SENTENCES[self.code]


@dataclass(frozen=True, slots=True)
class Received:
    """One kind of media at one Subscriber. Rates are over the measured time, `lost` is a ratio."""

    kind: MediaKind
    flowing: bool
    reasons: tuple[Reason, ...]
    bitrate_bps: int = 0
    packets_per_s: float = 0.0
    encoding: int | None = None
    layer: EncodingView | None = None
    lost: float = 0.0
    round_trip_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SubscriberReport:
    """`subscriber` is None for a client that has not subscribed. `decrypted` and `failed` are the
    frames in its last decryption report."""

    connection: ConnectionId
    subscriber: SubscriberId | None
    received: tuple[Received, ...]
    mismatch: bool = False
    decrypted: int = 0
    failed: int = 0
    estimate_bps: int | None = None


@dataclass(frozen=True, slots=True)
class SentEncoding:
    """A simulcast encoding; `live`: packets arrived during the measurement."""

    view: EncodingView
    live: bool


@dataclass(frozen=True, slots=True)
class TrackReport:
    """One track as its publisher sends it."""

    kind: MediaKind
    codec: str
    sending: bool
    encodings: tuple[SentEncoding, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """`taps`: for each of them, the kinds that it takes."""

    stream: Stream
    measured_s: float
    unencrypted_packets: int
    tracks: tuple[TrackReport, ...]
    subscribers: tuple[SubscriberReport, ...]
    taps: tuple[tuple[Received, ...], ...] = ()
