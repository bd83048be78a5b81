"""Why is it black? What each Subscriber of a Stream gets, and why not more.

Pure: the state of the Session and two readings of its media, some time apart, make the answer.
Every reason has a stable code and a sentence; the first one of a list weighs most.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from sfu.core_api import MediaKind
from sfu.ids import ConnectionId, StreamId, SubscriberId
from sfu.media_view import DownTrackView, EncodingView, MediaView, SubscriberView, UpTrackView
from signaling.domain.session_state import SessionState, Stream, Subscriber

LOSS_WORTH_A_WORD = 0.02
UNHEARD_MS = 12_000
"""Clients check every 5 s (RFC 7675): two checks are missing."""
UNENCRYPTED_RECENTLY_MS = 10_000
_AWAITING_KEY_FRAME = "awaiting_key_frame"
_HELD_BACK = "paused"
_NO_ROOM = "bandwidth"
_QUIET_VOICE = "quiet_voice"
_TOO_LARGE = "send_too_large"


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
    LOSS = "loss"
    WISH = "wish_limit"
    LAYER_PAUSED = "layer_paused"
    BEST = "best_available"


SENTENCES: dict[Code, str] = {
    Code.NOT_SUBSCRIBED: "The client has not subscribed to the stream.",
    Code.RELAYED: "Media of a relayed session goes from client to client, unseen by the server.",
    Code.NOT_CONNECTED: "The subscriber's media connection is not up yet, or was lost.",
    Code.NOT_ANSWERING: (
        "Nothing has come from the subscriber's address for some time: its network is gone, or its "
        "device sleeps."
    ),
    Code.TOO_LARGE: (
        "The publisher's packets are larger than the subscriber's path carries (a VPN, a tunnel): "
        "set its encoder to packets of 1,200 bytes."
    ),
    Code.NOT_SENT: "The server could not send the media to the subscriber's address.",
    Code.PUBLISHER_NOT_CONNECTED: "The publisher's media connection is not up yet.",
    Code.NO_TRACK: "The stream has no track of this kind.",
    Code.MUTED_BY_MODERATOR: "A moderator has muted the stream, and its publisher has not unmuted.",
    Code.MUTED_BY_PUBLISHER: "The publisher has switched this track off.",
    Code.NOT_WANTED: "The subscriber has switched this track off.",
    Code.SECRET_MISMATCH: "The subscriber cannot decrypt the stream: it has another secret.",
    Code.NOT_ENCRYPTED: "The publisher sends frames that are not encrypted; they are withheld.",
    Code.PUBLISHER_SILENT: "The publisher sends no packets of this track.",
    Code.NO_KEY_FRAME: "No key frame has come since the subscriber began or changed its layer.",
    Code.WITHHELD: "The media core withholds the track from the subscriber.",
    Code.BANDWIDTH: "The subscriber's link is estimated too narrow for more.",
    Code.QUIET_VOICE: "Others are louder: this large session forwards the loudest voices alone.",
    Code.LOSS: "The subscriber reports lost packets.",
    Code.WISH: "The subscriber wishes no larger picture or frame rate.",
    Code.LAYER_PAUSED: "The publisher does not send a better layer at present.",
    Code.BEST: "The subscriber gets the best that the publisher sends.",
}


_WAITING = {
    _AWAITING_KEY_FRAME: Code.NO_KEY_FRAME,
    _NO_ROOM: Code.BANDWIDTH,
    _QUIET_VOICE: Code.QUIET_VOICE,
}
"""Drop reasons of the media core that have a code of their own."""

_FINAL = frozenset({Code.NO_TRACK, Code.RELAYED})
"""Nothing else needs saying."""


@dataclass(frozen=True, slots=True)
class Reason:
    """`detail`: a name from the media core where it has one."""

    code: Code
    detail: str | None = None

    @property
    def message(self) -> str:
        return SENTENCES[self.code]


@dataclass(frozen=True, slots=True)
class Received:
    """One kind of media at one Subscriber. Rates are of the measured time; loss is a share."""

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
    """`subscriber` is None for a client that has not subscribed. `opened` and `failed` are the
    frames that its last decryption report counted."""

    connection: ConnectionId
    subscriber: SubscriberId | None
    received: tuple[Received, ...]
    mismatch: bool = False
    opened: int = 0
    failed: int = 0
    estimate_bps: int | None = None


@dataclass(frozen=True, slots=True)
class SentEncoding:
    """A simulcast version; `live`: packets of it came while we measured."""

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
    stream: Stream
    measured_s: float
    unencrypted_packets: int
    tracks: tuple[TrackReport, ...]
    subscribers: tuple[SubscriberReport, ...]


@dataclass(frozen=True, slots=True)
class Readings:
    """Two readings of the media, `measured_s` apart, and the monotonic time of the later one."""

    before: MediaView
    after: MediaView
    measured_s: float
    now_ms: int


@dataclass(frozen=True, slots=True)
class _Track:
    """What all Subscribers of one kind of a Stream have in common."""

    kind: MediaKind
    up_track: UpTrackView | None
    sending: bool
    encodings: tuple[SentEncoding, ...]
    upstream: tuple[Reason, ...]


def explain(state: SessionState, name: StreamId, readings: Readings) -> Explanation:
    """Errors: `stream_not_found`."""
    stream = state.live_stream(name)
    tracks = [_track(state, name, stream, kind, readings) for kind in MediaKind]
    subscribers = [
        _subscriber(state, subscriber, tracks, readings) for subscriber in stream.subscribers
    ]
    served = {report.connection for report in subscribers} | {stream.owner}
    absent = (
        SubscriberReport(name, None, _nothing(tracks))
        for name, connection in state.connections.items()
        if name not in served and connection.capabilities.subscribe
    )
    return Explanation(
        stream=stream,
        measured_s=readings.measured_s,
        unencrypted_packets=stream.unencrypted_packets,
        tracks=tuple(_report(track) for track in tracks if track.kind.value in _kinds(stream)),
        subscribers=(*subscribers, *absent),
    )


def _kinds(stream: Stream) -> frozenset[str]:
    return frozenset(stream.mids.values())


def _nothing(tracks: list[_Track]) -> tuple[Received, ...]:
    reason = (Reason(Code.NOT_SUBSCRIBED),)
    return tuple(Received(track.kind, flowing=False, reasons=reason) for track in tracks)


def _report(track: _Track) -> TrackReport:
    up_track = track.up_track
    return TrackReport(
        kind=track.kind,
        codec=up_track.codec if up_track else "",
        sending=track.sending,
        encodings=track.encodings,
        reasons=track.upstream,
    )


def _track(
    state: SessionState, name: StreamId, stream: Stream, kind: MediaKind, readings: Readings
) -> _Track:
    up_track = readings.after.up_tracks.get(name, {}).get(kind)
    earlier = readings.before.up_tracks.get(name, {}).get(kind)
    sending = up_track is not None and up_track.packets > (earlier.packets if earlier else 0)
    upstream = tuple(_upstream(state, stream, kind, up_track, readings.now_ms))
    if not upstream and not sending and _is_watched(up_track):
        upstream = (Reason(Code.PUBLISHER_SILENT),)
    return _Track(kind, up_track, sending, _encodings(up_track, earlier), upstream)


def _is_watched(up_track: UpTrackView | None) -> bool:
    """Unwatched, a video is not sent, which is no trouble of anybody's."""
    return up_track is None or any(encoding.wanted for encoding in up_track.encodings)


def _encodings(
    up_track: UpTrackView | None, earlier: UpTrackView | None
) -> tuple[SentEncoding, ...]:
    if up_track is None:
        return ()
    before = [one.packets for one in earlier.encodings] if earlier else []
    before += [0] * (len(up_track.encodings) - len(before))
    return tuple(
        SentEncoding(one, live=one.packets > packets)
        for one, packets in zip(up_track.encodings, before, strict=False)
    )


def _upstream(
    state: SessionState, stream: Stream, kind: MediaKind, up_track: UpTrackView | None, now_ms: int
) -> Iterator[Reason]:
    """What the publisher's side does to the track, for everybody."""
    if kind.value not in _kinds(stream):
        yield Reason(Code.NO_TRACK)
        return
    if up_track is None:
        yield Reason(Code.RELAYED if state.relayed else Code.PUBLISHER_NOT_CONNECTED)
        return
    has_it = stream.info.has_audio if kind is MediaKind.AUDIO else stream.info.has_video
    if kind is MediaKind.AUDIO and stream.muted:
        yield Reason(Code.MUTED_BY_MODERATOR)
    elif not has_it:
        yield Reason(Code.MUTED_BY_PUBLISHER)
    unencrypted_ms = stream.unencrypted_ms
    if (
        state.e2ee
        and unencrypted_ms is not None
        and now_ms - unencrypted_ms < UNENCRYPTED_RECENTLY_MS
    ):
        yield Reason(Code.NOT_ENCRYPTED)


def _subscriber(
    state: SessionState, name: SubscriberId, tracks: list[_Track], readings: Readings
) -> SubscriberReport:
    subscriber = state.subscribers[name]
    view = readings.after.subscribers.get(name, SubscriberView())
    earlier = readings.before.subscribers.get(name, SubscriberView())
    looks = [
        _Look(track, subscriber, view, earlier.down_tracks.get(track.kind), readings.measured_s)
        for track in tracks
    ]
    return SubscriberReport(
        connection=subscriber.owner,
        subscriber=name,
        received=tuple(look.received() for look in looks),
        mismatch=subscriber.mismatched,
        opened=subscriber.opened,
        failed=subscriber.failed,
        estimate_bps=view.estimate_bps,
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """One track at one Subscriber, seen twice."""

    track: _Track
    subscriber: Subscriber
    view: SubscriberView
    earlier: DownTrackView | None
    seconds: float
    _missing: DownTrackView = field(default=DownTrackView(MediaKind.VIDEO), repr=False)

    @property
    def down_track(self) -> DownTrackView:
        return self.view.down_tracks.get(self.track.kind, self._missing)

    def received(self) -> Received:
        down_track = self.down_track
        before = self.earlier or self._missing
        packets = self._packets()
        sent_bytes = max(0, down_track.bytes - before.bytes) if self.earlier else 0
        left = packets - sum(self._unsent().values())
        flowing = left > 0 and not self._blocked_here()
        return Received(
            kind=self.track.kind,
            flowing=flowing,
            reasons=tuple(self._reasons(flowing=flowing)),
            bitrate_bps=int(sent_bytes * 8 / self.seconds),
            packets_per_s=round(packets / self.seconds, 1),
            encoding=down_track.encoding,
            layer=self._layer(),
            lost=round(down_track.lost, 3),
            round_trip_ms=down_track.round_trip_ms,
        )

    def _packets(self) -> int:
        """Forwarded while we measured, whether they left or not."""
        return max(0, self.down_track.packets - self.earlier.packets) if self.earlier else 0

    def _unsent(self) -> dict[str, int]:
        """Of these, those that did not leave, by reason."""
        if self.earlier is None:
            return {}
        before = self.earlier.not_sent
        grown = {r: count - before.get(r, 0) for r, count in self.down_track.not_sent.items()}
        return {reason: count for reason, count in grown.items() if count > 0}

    def _why_unsent(self) -> Reason | None:
        """The reason that most packets did not leave for, if they are worth a word."""
        unsent = self._unsent()
        if not unsent or sum(unsent.values()) < LOSS_WORTH_A_WORD * self._packets():
            return None
        most = max(sorted(unsent), key=lambda reason: unsent[reason])
        return Reason(Code.TOO_LARGE) if most == _TOO_LARGE else Reason(Code.NOT_SENT, most)

    def _blocked_here(self) -> bool:
        wanted = self.subscriber.wants_audio
        if self.track.kind is MediaKind.VIDEO:
            wanted = self.subscriber.wants_video and not self.subscriber.mismatched
        unheard = self.view.unheard_ms >= UNHEARD_MS
        return not self.view.connected or unheard or not wanted

    def _layer(self) -> EncodingView | None:
        index, encodings = self.down_track.encoding, self.track.encodings
        if index is None or index >= len(encodings):
            return None
        return encodings[index].view

    def _reasons(self, *, flowing: bool) -> Iterator[Reason]:
        """Blocks first, nearest to the subscriber's own doing last; then limits."""
        found = [*self._blocks()]
        unsent = self._why_unsent()
        if unsent is not None and not any(one.code is Code.NOT_CONNECTED for one in found):
            found.append(unsent)
        if not found and not flowing:
            found = [self._withheld()]
        found += self._limits() if flowing else ()
        yield from found or (Reason(Code.BEST),)

    def _blocks(self) -> Iterator[Reason]:
        yield from self.track.upstream
        if any(reason.code in _FINAL for reason in self.track.upstream):
            return
        if not self.view.connected:
            yield Reason(Code.NOT_CONNECTED)
        elif self.view.unheard_ms >= UNHEARD_MS:
            yield Reason(Code.NOT_ANSWERING)
        is_video = self.track.kind is MediaKind.VIDEO
        # Audio is not held back on a mismatch, but the client cannot play it either.
        if self.subscriber.mismatched:
            yield Reason(Code.SECRET_MISMATCH)
        if not (self.subscriber.wants_video if is_video else self.subscriber.wants_audio):
            yield Reason(Code.NOT_WANTED)

    def _withheld(self) -> Reason:
        waiting = self.down_track.waiting
        if waiting in _WAITING:
            return Reason(_WAITING[waiting])
        if (
            waiting is None
            and self.track.kind is MediaKind.VIDEO
            and self.down_track.encoding is None
        ):
            return Reason(Code.NO_KEY_FRAME)
        return Reason(Code.WITHHELD, waiting or _HELD_BACK)

    def _limits(self) -> Iterator[Reason]:
        """Why it is not better, while it flows."""
        if self.down_track.lost >= LOSS_WORTH_A_WORD:
            yield Reason(Code.LOSS)
        better = self._next_better()
        if better is None:
            if self.view.narrow and self.track.kind is MediaKind.VIDEO:
                yield Reason(Code.BANDWIDTH)
            return
        estimate_bps = self.view.estimate_bps
        if self._wish_excludes(better.view):
            yield Reason(Code.WISH)
        elif not better.live:
            yield Reason(Code.LAYER_PAUSED)
        elif estimate_bps is not None and estimate_bps < better.view.bitrate_bps:
            yield Reason(Code.BANDWIDTH)
        elif self.down_track.waiting == _AWAITING_KEY_FRAME:
            yield Reason(Code.NO_KEY_FRAME)
        elif self.down_track.waiting is not None:
            yield Reason(Code.WITHHELD, self.down_track.waiting)

    def _next_better(self) -> SentEncoding | None:
        """The next larger encoding of the up track that is live, else one that is not."""
        layer = self._layer()
        if layer is None:
            return None
        others = [one for one in self.track.encodings if one.view is not layer]
        larger = [one for one in others if one.live and _rank(one.view) > _rank(layer)]
        # One that never came has no size and no bitrate to be compared by.
        asleep = [one for one in others if not one.live and not _smaller(one.view, layer)]
        return min(larger or asleep, key=lambda one: _rank(one.view), default=None)

    def _wish_excludes(self, layer: EncodingView) -> bool:
        wish, size = self.subscriber.resolution, layer.size
        return (
            wish is not None
            and size is not None
            and (size[0] > wish.width or size[1] > wish.height)
        )


def _smaller(one: EncodingView, other: EncodingView) -> bool:
    return one.packets > 0 and _rank(one) < _rank(other)


def _rank(encoding: EncodingView) -> tuple[int, int]:
    """By picture size where it is known, else by bitrate: the order in which the core chooses."""
    size = encoding.size
    return (size[0] * size[1] if size else 0, encoding.bitrate_bps)
