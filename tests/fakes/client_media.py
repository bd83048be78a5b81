"""One client's media in memory, as `FakeMediaPlane` gives it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sfu.core_api import Codec, Direction, MediaKind, PreferredLayers, StreamState
from sfu.ids import ConnectionId, StreamId, SubscriberId
from sfu.media_plane import (
    ClientMediaListener,
    DownlinkOffer,
    DownlinkTrack,
    MediaError,
    PublishAnswer,
    PublishedTrack,
    SubscribedLayers,
    Tap,
    TrackOffer,
)

from .descriptions import OfferedMedia, answer_for, offer_for, read_media

if TYPE_CHECKING:
    from .media_plane import FakeSessionMedia


@dataclass
class FakeStream:
    """A published stream of the fake; tests read it."""

    owner: "FakeClientMedia"
    tracks: dict[str, PublishedTrack]
    kids: dict[str, tuple[bytes, ...]]
    live: bool = False
    forwarding: dict[MediaKind, bool] = field(default_factory=dict)
    key_frame_requests: int = 0


@dataclass
class FakeSubscriber:
    """A subscription of the fake; tests read it. `offered` counts up to the answer."""

    stream: StreamId
    tracks: dict[str, DownlinkTrack]
    answered: bool = False
    connected: bool = False
    forwarding: dict[MediaKind, bool] = field(default_factory=dict)
    preferred: PreferredLayers = field(default_factory=PreferredLayers)


class FakeClientMedia:
    """One Connection's media in memory. Listener calls run later on the event loop."""

    def __init__(
        self, session: "FakeSessionMedia", connection: ConnectionId, listener: ClientMediaListener
    ) -> None:
        self.session = session
        self.connection = connection
        self.listener = listener
        self.connected: set[Direction] = set()
        self.closed = False
        self.tap: Tap | None = None
        self.is_quiet = False
        self.published: set[StreamId] = set()
        self.subscribers: dict[SubscriberId, FakeSubscriber] = {}
        self.offers: list[DownlinkOffer] = []
        self._outstanding: DownlinkOffer | None = None
        self._offer_wanted = False
        self._offer_scheduled = False
        self._next_mid = 0
        self._free_mids: dict[tuple[MediaKind, Codec], list[str]] = {}

    # --- what a test scripts ---------------------------------------------------------------

    def connect(self, direction: Direction) -> None:
        """The client's transport finishes ICE and DTLS."""
        self.connected.add(direction)
        self._settle()

    def lose(self, direction: Direction) -> None:
        """Consent expires: everything published or subscribed on the transport is gone."""
        self.connected.discard(direction)
        if direction is Direction.UPLINK:
            for stream in list(self.published):
                self.unpublish(stream)
        else:
            self.subscribers.clear()
            self._outstanding = None
            self._offer_wanted = False
            self._free_mids.clear()
        self._notify(lambda: self.listener.on_transport_lost(direction))

    def report_speaking(self, stream: StreamId) -> None:
        """A stream of this client became the dominant speaker."""
        self._notify(lambda: self.listener.on_active_speaker(stream))

    def report_not_encrypted(self, stream: StreamId, mid: str, packets: int) -> None:
        """The plaintext guard dropped packets of a stream of this client."""
        self._notify(lambda: self.listener.on_not_encrypted(stream, mid, packets))

    def report_stream_state(self, subscriber: SubscriberId, state: StreamState) -> None:
        """The downlink of this client carries more or less of a subscriber's video."""
        self._notify(lambda: self.listener.on_stream_state(subscriber, state))

    def report_subscribed_layers(self, stream: StreamId, layers: SubscribedLayers) -> None:
        """The subscribed layers of a stream of this client changed."""
        self._notify(lambda: self.listener.on_subscribed_layers(stream, layers))

    @property
    def outstanding_offer(self) -> DownlinkOffer | None:
        return self._outstanding

    # --- the contract ----------------------------------------------------------------------

    async def publish(
        self, stream: StreamId, offer_sdp: str, tracks: Sequence[TrackOffer]
    ) -> PublishAnswer:
        self._check_open()
        if stream in self.session.streams:
            raise MediaError("stream_exists", "the stream is published already")
        if self.tap is not None:
            return self._publish_through(stream, tracks)
        media = read_media(offer_sdp)
        used = {mid for own in self.published for mid in self.session.streams[own].tracks}
        if not used <= media.keys():
            raise MediaError("sdp_invalid", "an m-line of an earlier stream is missing")
        published = [self._negotiate(media, used, track) for track in tracks]
        if not published:
            raise MediaError("track_unknown", "a stream needs a track")
        self.session.streams[stream] = FakeStream(
            owner=self,
            tracks={track.mid: track for track in published},
            kids={track.mid: tuple(track.kids) for track in tracks},
        )
        self.published.add(stream)
        if self.session.plane.connect_at_once:
            self.connected.add(Direction.UPLINK)
        self._settle()
        return PublishAnswer(offer_sdp, tuple(published))

    def publish_through(self, tap: Tap, *, quietly: bool = False) -> None:
        self._check_open()
        if self.published or self.tap is not None:
            raise MediaError("setup_invalid", "the connection has an uplink already")
        self.tap, self.is_quiet = tap, quietly
        tap.when_ended(self._tap_ended)

    def _tap_ended(self) -> None:
        if self.tap is not None:
            self.tap = None
            self.lose(Direction.UPLINK)

    def _publish_through(self, stream: StreamId, tracks: Sequence[TrackOffer]) -> PublishAnswer:
        if self.published or [track.kind for track in tracks] != [MediaKind.AUDIO]:
            raise MediaError("track_unknown", "a tap publishes one audio track")
        track = PublishedTrack(tracks[0].mid, MediaKind.AUDIO, Codec.OPUS)
        self.session.streams[stream] = FakeStream(self, {track.mid: track}, {})
        self.published.add(stream)
        if not self.is_quiet:
            self.connected.add(Direction.UPLINK)
        self._settle()
        return PublishAnswer("", (track,))

    def speak_up(self) -> None:
        if self.is_quiet:
            self.is_quiet = False
            self.connected.add(Direction.UPLINK)
            self._settle()

    def _negotiate(
        self, media: dict[str, OfferedMedia], used: set[str], track: TrackOffer
    ) -> PublishedTrack:
        offered = media.get(track.mid)
        if offered is None or offered.kind != track.kind.value or track.mid in used:
            raise MediaError("track_unknown", f"no free {track.kind} m-line {track.mid!r}")
        if self.session.e2ee and not track.kids:
            raise MediaError("kids_missing", "an encrypted session needs declared key ids")
        if offered.codec is None or (offered.codec is Codec.OPUS) != (
            track.kind is MediaKind.AUDIO
        ):
            raise MediaError("codec_unsupported", "no offered codec is forwarded")
        return PublishedTrack(track.mid, track.kind, offered.codec)

    def declare_kids(self, stream: StreamId, mid: str, kids: Sequence[bytes]) -> None:
        published = self._own(stream)
        if mid not in published.tracks:
            raise MediaError("track_unknown", "the stream has no such track")
        if self.session.e2ee and not kids:
            raise MediaError("kids_missing", "an encrypted session needs declared key ids")
        published.kids[mid] = tuple(kids)

    def set_stream_forwarding(self, stream: StreamId, kind: MediaKind, forwarding: bool) -> None:
        self._own(stream).forwarding[kind] = forwarding

    def unpublish(self, stream: StreamId) -> None:
        if stream not in self.published:
            return
        self.published.discard(stream)
        del self.session.streams[stream]
        for client in self.session.clients.values():
            client.drop_subscribers_of(stream)
        for tap in list(self.session.taps):
            tap.drop_stream(stream)

    def subscribe(
        self,
        subscriber: SubscriberId,
        stream: StreamId,
        kinds: frozenset[MediaKind],
        codecs: frozenset[Codec],
    ) -> None:
        self._check_open()
        published = self.session.streams.get(stream)
        if published is None:
            raise MediaError("stream_unknown", "there is no such stream")
        if subscriber in self.subscribers:
            raise MediaError("stream_exists", "the subscriber exists already")
        wanted = [
            track
            for track in published.tracks.values()
            if track.kind in kinds and track.codec in codecs
        ]
        if not wanted:
            raise MediaError("codec_unsupported", "no wanted kind has a codec the client opens")
        tracks = [
            DownlinkTrack(self._take_mid(t.kind, t.codec), t.kind, t.codec, subscriber, stream)
            for t in wanted
        ]
        self.subscribers[subscriber] = FakeSubscriber(stream, {t.mid: t for t in tracks})
        self._want_offer()

    def play(self, subscriber: SubscriberId, stream: StreamId, offer_sdp: str) -> str:
        self._check_open()
        published = self.session.streams.get(stream)
        if published is None:
            raise MediaError("stream_unknown", "there is no such stream")
        media = read_media(offer_sdp)
        tracks = [
            DownlinkTrack(mid, track.kind, track.codec, subscriber, stream)
            for mid, offered in media.items()
            for track in published.tracks.values()
            if (offered.kind, offered.codec) == (track.kind, track.codec)
        ]
        if not tracks:
            raise MediaError("codec_unsupported", "the player opens no codec of the stream")
        self.subscribers[subscriber] = FakeSubscriber(
            stream, {t.mid: t for t in tracks}, answered=True
        )
        if self.session.plane.connect_at_once:
            self.connected.add(Direction.DOWNLINK)
        return answer_for(DownlinkOffer(0, offer_sdp, tuple(tracks)))

    def restart_uplink(self, offer_sdp: str) -> str:
        self._check_open()
        media = read_media(offer_sdp)
        if not self.published:
            raise MediaError("transport_closed", "the connection has no uplink")
        used = {mid for own in self.published for mid in self.session.streams[own].tracks}
        if not used <= media.keys():
            raise MediaError("sdp_invalid", "an m-line of an earlier stream is missing")
        return offer_sdp

    def restart_downlink(self) -> None:
        self._check_open()
        if not self.subscribers:
            raise MediaError("transport_closed", "the connection has no downlink")
        self._want_offer()

    def answer_downlink(self, number: int, answer_sdp: str) -> None:
        self._check_open()
        offer = self._outstanding
        if offer is None or offer.number != number:
            raise MediaError("answer_unexpected", "no offer of this number waits for an answer")
        media = read_media(answer_sdp)
        if any(track.mid not in media for track in offer.tracks):
            raise MediaError("sdp_invalid", "an m-line of the offer is missing")
        self._outstanding = None
        for track in offer.tracks:
            subscriber = self.subscribers.get(track.subscriber)
            if subscriber is not None and media[track.mid].accepted:
                subscriber.answered = True
        if self.session.plane.connect_at_once:
            self.connected.add(Direction.DOWNLINK)
        self._settle()
        if self._offer_wanted:
            self._schedule_offer()

    def set_subscriber_forwarding(
        self, subscriber: SubscriberId, kind: MediaKind, forwarding: bool
    ) -> None:
        found = self._subscriber(subscriber)
        if forwarding and kind is MediaKind.VIDEO and not found.forwarding.get(kind, True):
            # As the core: resumed video starts at a key frame.
            self.session.streams[found.stream].key_frame_requests += 1
        found.forwarding[kind] = forwarding

    def set_preferred_layers(self, subscriber: SubscriberId, preferred: PreferredLayers) -> None:
        self._subscriber(subscriber).preferred = preferred

    def unsubscribe(self, subscriber: SubscriberId) -> None:
        gone = self.subscribers.pop(subscriber, None)
        if gone is None:
            return
        for track in gone.tracks.values():
            self._free_mids.setdefault((track.kind, track.codec), []).append(track.mid)
        self._want_offer()

    def close(self) -> None:
        if self.closed:
            return
        for stream in list(self.published):
            self.unpublish(stream)
        self.subscribers.clear()
        self._outstanding = None
        self.connected.clear()
        self.tap = None
        self.closed = True
        self.session.clients.pop(self.connection, None)

    # --- inside ----------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self.closed:
            raise MediaError("transport_closed", "the connection's media is closed")

    def _own(self, stream: StreamId) -> FakeStream:
        self._check_open()
        if stream not in self.published:
            raise MediaError("stream_unknown", "the connection publishes no such stream")
        return self.session.streams[stream]

    def _subscriber(self, subscriber: SubscriberId) -> FakeSubscriber:
        self._check_open()
        if subscriber not in self.subscribers:
            raise MediaError("stream_unknown", "there is no such subscriber")
        return self.subscribers[subscriber]

    def _take_mid(self, kind: MediaKind, codec: Codec) -> str:
        free = self._free_mids.get((kind, codec))
        if free:
            return free.pop()
        self._next_mid += 1
        return f"d{self._next_mid - 1}"

    def drop_subscribers_of(self, stream: StreamId) -> None:
        for name in [n for n, s in self.subscribers.items() if s.stream == stream]:
            self.unsubscribe(name)

    def _want_offer(self) -> None:
        self._offer_wanted = True
        if self._outstanding is None:
            self._schedule_offer()

    def _schedule_offer(self) -> None:
        if not self._offer_scheduled:
            self._offer_scheduled = True
            self._notify(self._send_offer)

    def _send_offer(self) -> None:
        self._offer_scheduled = False
        if not self._offer_wanted or self._outstanding is not None:
            return
        self._offer_wanted = False
        tracks = tuple(t for s in self.subscribers.values() for t in s.tracks.values())
        sdp = offer_for([(t.mid, t.kind, t.codec) for t in tracks])
        self._outstanding = DownlinkOffer(len(self.offers) + 1, sdp, tracks)
        self.offers.append(self._outstanding)
        self.listener.on_downlink_offer(self._outstanding)

    def _settle(self) -> None:
        """Reports the effects of connected transports and applied answers."""
        if Direction.UPLINK in self.connected:
            for name in sorted(self.published):
                stream = self.session.streams[name]
                if not stream.live:
                    stream.live = True
                    self._notify(lambda name=name: self.listener.on_stream_live(name))  # type: ignore[misc]
        if Direction.DOWNLINK in self.connected:
            for who, subscriber in self.subscribers.items():
                if subscriber.answered and not subscriber.connected:
                    subscriber.connected = True
                    self._notify(lambda who=who: self.listener.on_subscriber_connected(who))  # type: ignore[misc]

    def _notify(self, call: Callable[[], None]) -> None:
        def unless_closed() -> None:
            if not self.closed:
                call()

        asyncio.get_running_loop().call_soon(unless_closed)
