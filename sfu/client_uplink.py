"""What one Connection publishes: its uplink over the compiled core, and its streams."""

from collections.abc import Mapping, Sequence

from sfu import core_api
from sfu.client_records import (
    ClientContext,
    PublishedStream,
    SessionStreams,
    live_media,
    media_errors,
)
from sfu.core_api import Codec, Direction, EncodingParameters, Extension, MediaKind
from sfu.ids import PublisherHandle, StreamId
from sfu.media_plane import (
    TAP_UPLINK,
    MediaError,
    PublishAnswer,
    PublishedTrack,
    SubscribedLayers,
    Tap,
    TrackOffer,
)
from sfu.peer_transport import PeerTransport, PlaneContext
from sfu.rtp_parameters import NegotiatedCodec, NegotiatedMedia, up_track_parameters
from sfu.sdp.negotiate import (
    UplinkOffer,
    build_uplink_answer,
    check_kept,
    choose,
    read_uplink_offer,
)
from sfu.sdp.parse import parse


class ClientUplink:
    """Owner of everything the Connection publishes, and of the transport that carries it."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context
        self._transport: PeerTransport | None = None
        self._tap: Tap | None = None
        self._is_quiet = False
        self._published: dict[StreamId, PublishedStream] = {}

    @property
    def _session(self) -> SessionStreams:
        """Where it publishes: a tap is in the leading part, wherever the client is."""
        session = self._context.session
        return session if self._tap is None else session.leader

    @property
    def _plane(self) -> PlaneContext:
        return self._session.context

    @property
    def transport(self) -> PeerTransport | None:
        return self._transport

    @property
    def published(self) -> Mapping[StreamId, PublishedStream]:
        return self._published

    def publish(
        self, stream: StreamId, offer_sdp: str, tracks: Sequence[TrackOffer]
    ) -> PublishAnswer:
        self._context.check_open()
        if stream in self._session.streams:
            raise MediaError("stream_exists", "the stream is published already")
        if self._tap is not None:
            return self._publish_through(self._tap, stream, tracks)
        with media_errors():
            offer = read_uplink_offer(parse(offer_sdp))
            live = live_media(self._published)
            check_kept(offer, live)
            media = self._choose(offer, live, tracks)
        kids = {track.mid: tuple(track.kids) for track in tracks}
        handle = PublisherHandle(self._plane.router.next_handle())
        up_tracks = tuple(up_track_parameters(m, kids[m.mid]) for m in media.values())
        before = self._transport
        try:
            uplink = self._transport_for(offer)
            self._plane.router.submit(
                core_api.Publish(self._session.handle, handle, uplink.handle, up_tracks)
            )
        except BaseException:
            if self._transport is not before:
                self._drop_transport()
            raise
        self._add(PublishedStream(stream, self, handle, media, self._session))
        answer = self._answer(offer, live | media, uplink)
        if uplink.connected:
            self._go_live()
        return _published(answer, media)

    def publish_through(self, tap: Tap, *, quietly: bool = False) -> None:
        self._context.check_open()
        if self._transport is not None or self._tap is not None:
            raise MediaError("setup_invalid", "the connection has an uplink already")
        self._tap, self._is_quiet = tap, quietly
        tap.when_ended(self._tap_ended)

    def _publish_through(
        self, tap: Tap, stream: StreamId, tracks: Sequence[TrackOffer]
    ) -> PublishAnswer:
        if self._published or [track.kind for track in tracks] != [MediaKind.AUDIO]:
            raise MediaError("track_unknown", "a tap publishes one audio track")
        media = {tracks[0].mid: tap_media(tracks[0].mid)}
        handle = PublisherHandle(self._plane.router.next_handle())
        up_tracks = tuple(up_track_parameters(one, ()) for one in media.values())
        self._plane.router.submit(
            core_api.Publish(self._session.handle, handle, tap.handle, up_tracks)
        )
        self._add(PublishedStream(stream, self, handle, media, self._session))
        if not self._is_quiet:
            self._go_live()
        return _published("", media)

    def speak_up(self) -> None:
        if self._is_quiet:
            self._is_quiet = False
            self._go_live()

    def _tap_ended(self) -> None:
        if self._tap is not None:
            self._tap = None
            for stream in list(self._published):
                self.unpublish(stream)
            self._context.notify(lambda: self._context.listener.on_transport_lost(Direction.UPLINK))

    def _add(self, published: PublishedStream) -> None:
        self._published[published.stream] = published
        published.home.context.publishers[published.handle] = published
        published.home.add_stream(published)

    def _answer(
        self, offer: UplinkOffer, live: Mapping[str, NegotiatedMedia], uplink: PeerTransport
    ) -> str:
        return build_uplink_answer(
            offer,
            live,
            uplink.local,
            uplink.next_origin(),
            max_bps=self._session.max_publish_bps,
        )

    def _choose(
        self,
        offer: UplinkOffer,
        live: Mapping[str, NegotiatedMedia],
        tracks: Sequence[TrackOffer],
    ) -> dict[str, NegotiatedMedia]:
        chosen: dict[str, NegotiatedMedia] = {}
        for track in tracks:
            if track.mid in live or track.mid in chosen:
                raise MediaError("track_unknown", "the m-line belongs to a stream already")
            chosen[track.mid] = choose(offer, track.mid, track.kind)
            self._check_kids(track.kids)
        if not chosen:
            raise MediaError("track_unknown", "a stream needs a track")
        return chosen

    def _check_kids(self, kids: Sequence[bytes]) -> None:
        if self._session.e2ee and not kids:
            raise MediaError("kids_missing", "an encrypted session needs declared key ids")
        if any(len(kid) != 8 for kid in kids):
            raise MediaError("kids_missing", "a key id has 8 bytes")

    def _transport_for(self, offer: UplinkOffer) -> PeerTransport:
        """The uplink of the offer: the existing one, or a new one for a new peer connection.

        A client that has ended all its streams may start again with another peer connection
        before the end of the old one is noticed.
        """
        uplink = self._transport
        if uplink is not None and not self._published and uplink.remote != offer.remote:
            self._drop_transport()
            uplink = None
        if uplink is None:
            uplink = PeerTransport(self._plane, self._session.handle, Direction.UPLINK, self)
            self._transport = uplink
        uplink.set_remote(offer.remote)
        return uplink

    def _drop_transport(self) -> None:
        uplink, self._transport = self._transport, None
        if uplink is not None:
            uplink.close()

    def declare_kids(self, stream: StreamId, mid: str, kids: Sequence[bytes]) -> None:
        published = self._own(stream)
        if mid not in published.media:
            raise MediaError("track_unknown", "the stream has no such track")
        self._check_kids(kids)
        self._plane.router.submit(core_api.DeclareKids(published.handle, mid, tuple(kids)))

    def set_stream_forwarding(self, stream: StreamId, kind: MediaKind, forwarding: bool) -> None:
        published = self._own(stream)
        for mid in published.mids(kind):
            published.home.context.router.submit(
                core_api.SetUpTrackForwarding(published.handle, mid, forwarding)
            )
            for trunk in published.home.trunks_of(stream):
                trunk.set_forwarding(mid, forwarding)

    def unpublish(self, stream: StreamId) -> None:
        published = self._published.pop(stream, None)
        if published is None:
            return
        for subscription in list(published.subscriptions.values()):
            subscription.publisher_ended()
        home = published.home
        home.remove_stream(published)
        del home.context.publishers[published.handle]
        home.context.submit_ending(core_api.Unpublish(published.handle))

    def _own(self, stream: StreamId) -> PublishedStream:
        self._context.check_open()
        if stream not in self._published:
            raise MediaError("stream_unknown", "the connection publishes no such stream")
        return self._published[stream]

    def restart(self, offer_sdp: str) -> str:
        self._context.check_open()
        uplink = self._transport
        if uplink is None:
            raise MediaError("transport_closed", "the connection has no uplink")
        with media_errors():
            offer = read_uplink_offer(parse(offer_sdp))
            live = live_media(self._published)
            check_kept(offer, live)
        uplink.restart_ice(offer.remote)
        return self._answer(offer, live, uplink)

    # --- what the transport and the core report ------------------------------------------------

    def transport_connected(self, transport: PeerTransport) -> None:
        if transport is self._transport:
            self._go_live()

    def _go_live(self) -> None:
        for published in self._published.values():
            if not published.live:
                published.live = True
                self._notify_live(published.stream)

    def _notify_live(self, stream: StreamId) -> None:
        def if_still_published() -> None:
            if stream in self._published:
                self._context.listener.on_stream_live(stream)

        self._context.notify(if_still_published)

    def transport_lost(self, transport: PeerTransport) -> None:
        if transport is self._transport:
            self._transport = None
            for stream in list(self._published):
                self.unpublish(stream)
            self._context.notify_lost(transport)

    def report_not_encrypted(self, stream: StreamId, mid: str, packets: int) -> None:
        self._context.notify(lambda: self._context.listener.on_not_encrypted(stream, mid, packets))

    def report_speaking(self, stream: StreamId) -> None:
        self._context.notify(lambda: self._context.listener.on_active_speaker(stream))

    def report_subscribed_layers(self, stream: StreamId, layers: SubscribedLayers) -> None:
        self._context.notify(lambda: self._context.listener.on_subscribed_layers(stream, layers))

    def publish_failed(self) -> None:
        """The core refused what was published: the transport's state is no longer the core's."""
        if self._transport is not None:
            self._transport.handle_command_failed()
        self._tap_ended()

    def close(self) -> None:
        for stream in list(self._published):
            self.unpublish(stream)
        self._tap = None
        self._drop_transport()


def _published(answer: str, media: Mapping[str, NegotiatedMedia]) -> PublishAnswer:
    tracks = (PublishedTrack(one.mid, one.kind, one.codec.codec) for one in media.values())
    return PublishAnswer(answer, tuple(tracks))


def tap_media(mid: str) -> NegotiatedMedia:
    """What the reader of a tap publishes, as if a client had offered it."""
    form = {"minptime": "10", "useinbandfec": "1"}
    return NegotiatedMedia(
        mid,
        MediaKind.AUDIO,
        NegotiatedCodec(Codec.OPUS, TAP_UPLINK.payload_type, None, form),
        (EncodingParameters(ssrc=TAP_UPLINK.ssrc),),
        {Extension.AUDIO_LEVEL: TAP_UPLINK.audio_level_id},
    )
