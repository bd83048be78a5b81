"""Why is the video black? What each Subscriber of a Stream receives, and why not more.

Pure: the answer follows from the state of the Session and two readings of its media, some time
apart. What an answer says is in `explanation.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sfu.core_api import MediaKind
from sfu.ids import StreamId, SubscriberId
from sfu.media_view import (
    DownTrackView,
    EncodingView,
    MediaView,
    SubscriberView,
    TapView,
    UpTrackView,
)
from signaling.domain.session_state import SessionState, Stream, Subscriber
from signaling.sessions.explanation import (
    Code,
    Explanation,
    Reason,
    Received,
    SentEncoding,
    SubscriberReport,
    TrackReport,
)

LOSS_WORTH_A_WORD = 0.02
SILENT_MS = 12_000
"""Clients check consent every 5 s (RFC 7675), so two checks are missing."""
UNENCRYPTED_RECENTLY_MS = 10_000
_AWAITING_KEY_FRAME = "awaiting_key_frame"
_HELD_BACK = "paused"
_NO_ROOM = "bandwidth"
_QUIET_VOICE = "quiet_voice"
_TAP_FULL = "tap_full"
_TOO_LARGE = "send_too_large"

_WAITING = {
    _AWAITING_KEY_FRAME: Code.NO_KEY_FRAME,
    _NO_ROOM: Code.BANDWIDTH,
    _QUIET_VOICE: Code.QUIET_VOICE,
    _TAP_FULL: Code.TAP_BEHIND,
}
"""Drop reasons of the media core with their own code."""

_FINAL = frozenset({Code.NO_TRACK, Code.RELAYED})
"""No other reason is added to these."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Two readings of the media, `measured_s` apart. `now_ms`: monotonic time of the second."""

    before: MediaView
    after: MediaView
    measured_s: float
    now_ms: int


@dataclass(frozen=True, slots=True)
class _Track:
    """One kind of a Stream: the part that is the same for all Subscribers."""

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
        taps=tuple(_tap(view, tracks, readings) for view in readings.after.taps.get(name, ())),
    )


def _tap(view: TapView, tracks: list[_Track], readings: Readings) -> tuple[Received, ...]:
    both = [view, *readings.before.taps.get(view.stream, ())]
    before = [one for one in both if one.tap == view.tap][-1].down_tracks
    return tuple(
        _tapped(track, now, before.get(track.kind, now), readings)
        for track in tracks
        if (now := view.down_tracks.get(track.kind))
    )


def _tapped(
    track: _Track, now: DownTrackView, before: DownTrackView, readings: Readings
) -> Received:
    packets = max(0, now.packets - before.packets)
    own = Reason(_WAITING.get(now.waiting or "", Code.WITHHELD), now.waiting)
    own = own if now.forwarding else Reason(Code.NOT_WANTED)
    return Received(
        kind=track.kind,
        flowing=packets > 0,
        reasons=track.upstream or (Reason(Code.BEST) if packets else own,),
        bitrate_bps=int(max(0, now.bytes - before.bytes) * 8 / readings.measured_s),
        packets_per_s=round(packets / readings.measured_s, 1),
        encoding=now.encoding,
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
    """A publisher does not send a video that nobody watches, which is not a fault."""
    return up_track is None or any(encoding.subscribed for encoding in up_track.encodings)


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
    """Reasons on the publisher's side, which apply to all Subscribers."""
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
        decrypted=subscriber.decrypted,
        failed=subscriber.failed,
        estimate_bps=view.estimate_bps,
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """One track at one Subscriber, in both readings."""

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
        # Still frames of paused video are no flow.
        starved = down_track.waiting == _NO_ROOM
        flowing = left > 0 and not starved and not self._blocked_here()
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
        """Packets forwarded during the measurement, including those that could not be sent."""
        return max(0, self.down_track.packets - self.earlier.packets) if self.earlier else 0

    def _unsent(self) -> dict[str, int]:
        """Packets that could not be sent, by reason."""
        if self.earlier is None:
            return {}
        before = self.earlier.not_sent
        grown = {r: count - before.get(r, 0) for r, count in self.down_track.not_sent.items()}
        return {reason: count for reason, count in grown.items() if count > 0}

    def _why_unsent(self) -> Reason | None:
        """The most common reason for unsent packets, if there are enough of them."""
        unsent = self._unsent()
        if not unsent or sum(unsent.values()) < LOSS_WORTH_A_WORD * self._packets():
            return None
        most = max(sorted(unsent), key=lambda reason: unsent[reason])
        return Reason(Code.TOO_LARGE) if most == _TOO_LARGE else Reason(Code.NOT_SENT, most)

    def _blocked_here(self) -> bool:
        wanted = self.subscriber.wants_audio
        if self.track.kind is MediaKind.VIDEO:
            wanted = self.subscriber.wants_video and not self.subscriber.mismatched
        silent = self.view.unheard_ms >= SILENT_MS
        return not self.view.connected or silent or not wanted

    def _layer(self) -> EncodingView | None:
        index, encodings = self.down_track.encoding, self.track.encodings
        if index is None or index >= len(encodings):
            return None
        return encodings[index].view

    def _reasons(self, *, flowing: bool) -> Iterator[Reason]:
        """Blocks first, from the publisher to the subscriber's own settings; then limits."""
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
        elif self.view.unheard_ms >= SILENT_MS:
            yield Reason(Code.NOT_ANSWERING)
        is_video = self.track.kind is MediaKind.VIDEO
        # A mismatch does not pause audio, but the client cannot play it either.
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
        """Why the quality is not better, while media flows."""
        if self.down_track.lost >= LOSS_WORTH_A_WORD:
            yield Reason(Code.LOSS)
        better = self._next_better()
        if better is None:
            if self.view.narrow and self.track.kind is MediaKind.VIDEO:
                yield Reason(Code.BANDWIDTH)
            return
        estimate_bps = self.view.estimate_bps
        if self._exceeds_preferred(better.view):
            yield Reason(Code.PREFERENCE)
        elif not better.live:
            yield Reason(Code.LAYER_PAUSED)
        elif estimate_bps is not None and estimate_bps < better.view.bitrate_bps:
            yield Reason(Code.BANDWIDTH)
        elif self.down_track.waiting == _AWAITING_KEY_FRAME:
            yield Reason(Code.NO_KEY_FRAME)
        elif self.down_track.waiting is not None:
            yield Reason(Code.WITHHELD, self.down_track.waiting)

    def _next_better(self) -> SentEncoding | None:
        """The next larger live encoding of the up track, otherwise one that is not live."""
        layer = self._layer()
        if layer is None:
            return None
        others = [one for one in self.track.encodings if one.view is not layer]
        larger = [one for one in others if one.live and _rank(one.view) > _rank(layer)]
        # An encoding that never arrived has no size or bitrate to compare.
        inactive = [one for one in others if not one.live and not _smaller(one.view, layer)]
        return min(larger or inactive, key=lambda one: _rank(one.view), default=None)

    def _exceeds_preferred(self, layer: EncodingView) -> bool:
        preferred, size = self.subscriber.resolution, layer.size
        return (
            preferred is not None
            and size is not None
            and (size[0] > preferred.width or size[1] > preferred.height)
        )


def _smaller(one: EncodingView, other: EncodingView) -> bool:
    return one.packets > 0 and _rank(one) < _rank(other)


def _rank(encoding: EncodingView) -> tuple[int, int]:
    """Order by resolution if known, otherwise by bitrate, as the core selects encodings."""
    size = encoding.size
    return (size[0] * size[1] if size else 0, encoding.bitrate_bps)
