"""A session's media for diagnosis: views of `SessionMedia.dump()`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sfu.core_api import (
    Direction,
    DownlinkSnapshot,
    DownTrackSnapshot,
    EncodingSnapshot,
    MediaKind,
    TransportSnapshot,
    UpTrackSnapshot,
)
from sfu.ids import StreamId, SubscriberHandle, SubscriberId, TransportHandle
from sfu.media_plane import ClientDump, SessionDump, TransportDump

_ASSUMED = "start"
_CONSENT_MS = 30_000
"""A client's address stays in use this long after its last check (RFC 7675)."""
_LOST_OF = 256
"""Receiver reports give the lost share in 256ths (RFC 3550, 6.4.1)."""


@dataclass(frozen=True, slots=True)
class EncodingView:
    """One simulcast encoding as published: `packets` since the start, the last measured bitrate,
    `size` in pixels if readable, `subscribed`: it has receivers, so its publisher should send
    it."""

    rid: str | None = None
    packets: int = 0
    bitrate_bps: int = 0
    size: tuple[int, int] | None = None
    frame_rate: float | None = None
    subscribed: bool = True


@dataclass(frozen=True, slots=True)
class UpTrackView:
    """One m-line of a Publisher. `packets`: accepted for forwarding since the start."""

    kind: MediaKind
    codec: str = ""
    forwarding: bool = True
    packets: int = 0
    encodings: tuple[EncodingView, ...] = ()


@dataclass(frozen=True, slots=True)
class DownTrackView:
    """One m-line of a Subscriber. `waiting`: the drop reason that withholds its video.

    `lost`: share of packets lost in the subscriber's last report. `not_sent`: the part of
    `packets` that was not sent, by the network side's reason.
    """

    kind: MediaKind
    forwarding: bool = True
    encoding: int | None = None
    waiting: str | None = None
    packets: int = 0
    bytes: int = 0
    lost: float = 0.0
    round_trip_ms: int | None = None
    not_sent: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SubscriberView:
    """`connected`: the downlink is up and carries it. `estimate_bps`: the bandwidth estimate,
    None without evidence. `narrow`: less than the client could use. `unheard_ms`: time since the
    last answer from the client's address."""

    connected: bool = False
    down_tracks: Mapping[MediaKind, DownTrackView] = field(default_factory=dict)
    estimate_bps: int | None = None
    narrow: bool = False
    unheard_ms: int = 0


@dataclass(frozen=True, slots=True)
class TapView:
    """What one tap gets of a stream."""

    tap: TransportHandle
    stream: StreamId
    down_tracks: Mapping[MediaKind, DownTrackView] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MediaView:
    up_tracks: Mapping[StreamId, Mapping[MediaKind, UpTrackView]] = field(default_factory=dict)
    subscribers: Mapping[SubscriberId, SubscriberView] = field(default_factory=dict)
    taps: Mapping[StreamId, tuple[TapView, ...]] = field(default_factory=dict)


def read_media(dump: SessionDump) -> MediaView:
    """The view of a session's dump; empty while its media is not in the core."""
    if dump.core is None:
        return MediaView()
    forwarding, clients = dump.core.forwarding, dump.connections.values()
    streams = {handle: stream for client in clients for stream, handle in client.publishers.items()}
    up_tracks: dict[StreamId, dict[MediaKind, UpTrackView]] = {}
    for up_track in forwarding.up_tracks:
        if stream := streams.get(up_track.publisher):
            up_tracks.setdefault(stream, {})[up_track.kind] = _up_track(up_track)
    links = {link.transport: link for link in forwarding.downlinks}
    peers = {peer.transport: peer for peer in dump.core.transports}
    down_tracks: dict[SubscriberHandle, dict[MediaKind, DownTrackView]] = {}
    for down_track in forwarding.down_tracks:
        down_tracks.setdefault(down_track.subscriber, {})[down_track.kind] = _down_track(
            down_track, peers.get(down_track.transport)
        )
    subscribers: dict[SubscriberId, SubscriberView] = {}
    for client in clients:
        downlink = _downlink(client)
        link = None if downlink is None else links.get(downlink.handle)
        peer = None if downlink is None else peers.get(downlink.handle)
        for name, row in client.subscriptions.items():
            subscribers[name] = SubscriberView(
                connected=row.started and downlink is not None and downlink.connected,
                down_tracks=down_tracks.get(row.handle, {}),
                estimate_bps=_estimate(link),
                narrow=_is_narrow(link),
                unheard_ms=_unheard_ms(peer),
            )
    return MediaView(up_tracks, subscribers, _taps(dump, down_tracks))


def _taps(
    dump: SessionDump, down_tracks: Mapping[SubscriberHandle, Mapping[MediaKind, DownTrackView]]
) -> dict[StreamId, tuple[TapView, ...]]:
    found: dict[StreamId, tuple[TapView, ...]] = {}
    for tap in dump.taps:
        for stream, handle in tap.subscriptions.items():
            view = TapView(tap.handle, stream, down_tracks.get(handle, {}))
            found[stream] = (*found.get(stream, ()), view)
    return found


def _downlink(client: ClientDump) -> TransportDump | None:
    found = (one for one in client.transports if one.direction is Direction.DOWNLINK)
    return next(found, None)


def _up_track(row: UpTrackSnapshot) -> UpTrackView:
    return UpTrackView(
        kind=row.kind,
        codec=row.codec,
        forwarding=row.forwarding,
        packets=row.packets,
        encodings=tuple(_encoding(one) for one in row.encodings),
    )


def _encoding(row: EncodingSnapshot) -> EncodingView:
    return EncodingView(
        rid=row.rid,
        packets=row.packets,
        bitrate_bps=row.bitrate_bps,
        size=row.size,
        frame_rate=row.frame_rate,
        subscribed=row.subscribed,
    )


def _down_track(row: DownTrackSnapshot, peer: TransportSnapshot | None) -> DownTrackView:
    unsent = () if peer is None else peer.not_sent
    return DownTrackView(
        kind=row.kind,
        forwarding=row.forwarding,
        encoding=row.encoding,
        waiting=row.waiting,
        packets=row.packets,
        bytes=row.bytes,
        lost=row.fraction_lost / _LOST_OF,
        round_trip_ms=row.round_trip_ms,
        not_sent={one.reason: one.packets for one in unsent if one.ssrc == row.ssrc},
    )


def _estimate(link: DownlinkSnapshot | None) -> int | None:
    """The start value before the first report is no estimate."""
    return None if link is None or link.reason == _ASSUMED else link.estimate_bps


def _is_narrow(link: DownlinkSnapshot | None) -> bool:
    estimate_bps = _estimate(link)
    if link is None or estimate_bps is None:
        return False
    return link.limited and estimate_bps < link.wanted_bps


def _unheard_ms(peer: TransportSnapshot | None) -> int:
    if peer is None or peer.consent_left_ms is None:
        return 0
    return max(0, _CONSENT_MS - peer.consent_left_ms)
