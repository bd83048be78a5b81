"""The media of one Connection over the compiled core: its uplink, its downlink, their streams."""

import secrets
from collections.abc import Callable, Mapping, Sequence

from sfu import core_api
from sfu.client_records import (
    PublishedStream,
    SessionStreams,
    Subscription,
    live_media,
    media_errors,
)
from sfu.core_api import Codec, Direction, MediaKind, PreferredLayers, StreamState
from sfu.downlink_offers import DownlinkOffers
from sfu.ids import (
    ConnectionId,
    PublisherHandle,
    StreamId,
    SubscriberHandle,
    SubscriberId,
)
from sfu.media_plane import (
    ClientDump,
    ClientMediaListener,
    DownlinkOffer,
    DownlinkTrack,
    MediaError,
    PublishAnswer,
    PublishedTrack,
    SubscribedLayers,
    TrackOffer,
)
from sfu.peer_transport import PeerTransport, PlaneContext
from sfu.rtp_parameters import (
    NegotiatedMedia,
    stream_format,
    up_track_parameters,
)
from sfu.sdp.negotiate import (
    UplinkOffer,
    build_uplink_answer,
    check_kept,
    choose,
    read_uplink_offer,
)
from sfu.sdp.parse import parse
from sfu.sdp.player import plan_playing
from sfu.sdp.slots import DownlinkSlots, Slot

KEY_FRAME_GATHERING_S = 0.05
"""Key-frame requests within this time are merged: after a change of secrets, each track is
declared separately."""


class NativeClientMedia:
    """Implements `ClientMedia`. Owner of everything the Connection publishes and receives."""

    def __init__(
        self,
        plane: PlaneContext,
        session: SessionStreams,
        connection: ConnectionId,
        listener: ClientMediaListener,
    ) -> None:
        self.connection = connection
        self.listener = listener
        self._plane = plane
        self._session = session
        self._closed = False
        self._uplink: PeerTransport | None = None
        self._downlink: PeerTransport | None = None
        self._published: dict[StreamId, PublishedStream] = {}
        self._subscriptions: dict[SubscriberId, Subscription] = {}
        self._slots = self._no_slots()
        self._offers = DownlinkOffers(plane.scheduler, self._send_offer)
        self._restart_wanted = False

    # --- publishing ------------------------------------------------------------------------

    async def publish(
        self, stream: StreamId, offer_sdp: str, tracks: Sequence[TrackOffer]
    ) -> PublishAnswer:
        self._check_open()
        if stream in self._session.streams:
            raise MediaError("stream_exists", "the stream is published already")
        with media_errors():
            offer = read_uplink_offer(parse(offer_sdp))
            live = live_media(self._published)
            check_kept(offer, live)
            media = self._choose(offer, live, tracks)
        kids = {track.mid: tuple(track.kids) for track in tracks}
        handle = PublisherHandle(self._plane.router.next_handle())
        up_tracks = tuple(up_track_parameters(m, kids[m.mid]) for m in media.values())
        before = self._uplink
        try:
            uplink = self._uplink_for(offer)
            self._plane.router.submit(
                core_api.Publish(self._session.handle, handle, uplink.handle, up_tracks)
            )
        except BaseException:
            if self._uplink is not before:
                self._drop_uplink()
            raise
        published = PublishedStream(stream, self, handle, media, kids)
        self._published[stream] = published
        self._session.streams[stream] = published
        self._plane.publishers[handle] = published
        answer = self._answer(offer, live | media, uplink)
        if uplink.connected:
            self._go_live()
        return PublishAnswer(
            answer, tuple(PublishedTrack(m.mid, m.kind, m.codec.codec) for m in media.values())
        )

    def _answer(
        self, offer: UplinkOffer, live: Mapping[str, NegotiatedMedia], uplink: PeerTransport
    ) -> str:
        return build_uplink_answer(
            offer, live, uplink.local, uplink.next_origin(), max_bps=self._session.max_publish_bps
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

    def _uplink_for(self, offer: UplinkOffer) -> PeerTransport:
        """The uplink of the offer: the existing one, or a new one for a new peer connection.

        A client that has ended all its streams may start again with another peer connection
        before the end of the old one is noticed.
        """
        uplink = self._uplink
        if uplink is not None and not self._published and uplink.remote != offer.remote:
            self._drop_uplink()
            uplink = None
        if uplink is None:
            uplink = PeerTransport(self._plane, self._session.handle, Direction.UPLINK, self)
            self._uplink = uplink
        uplink.set_remote(offer.remote)
        return uplink

    def _drop_uplink(self) -> None:
        uplink, self._uplink = self._uplink, None
        if uplink is not None:
            uplink.close()

    def declare_kids(self, stream: StreamId, mid: str, kids: Sequence[bytes]) -> None:
        published = self._own(stream)
        if mid not in published.media:
            raise MediaError("track_unknown", "the stream has no such track")
        self._check_kids(kids)
        before = {kid[-2:] for kid in published.kids[mid]}
        after = {kid[-2:] for kid in kids}
        self._plane.router.submit(core_api.DeclareKids(published.handle, mid, tuple(kids)))
        # Only after the core has accepted the command.
        published.kids[mid] = tuple(kids)
        # while both hints are declared the sender may not have switched yet
        if before - after and published.media[mid].kind is MediaKind.VIDEO:
            self._want_key_frame(published)

    def set_stream_forwarding(self, stream: StreamId, kind: MediaKind, forwarding: bool) -> None:
        published = self._own(stream)
        for mid in published.mids(kind):
            self._plane.router.submit(
                core_api.SetUpTrackForwarding(published.handle, mid, forwarding)
            )

    def request_key_frame(self, stream: StreamId) -> None:
        self._want_key_frame(self._own(stream))

    def _want_key_frame(self, published: PublishedStream) -> None:
        if published.key_frame_wanted or not published.mids(MediaKind.VIDEO):
            return
        published.key_frame_wanted = True
        when = self._plane.scheduler.time() + KEY_FRAME_GATHERING_S
        self._plane.scheduler.call_at(when, self._ask_key_frame, published)

    def _ask_key_frame(self, published: PublishedStream) -> None:
        published.key_frame_wanted = False
        if published.handle in self._plane.publishers:
            self._plane.submit_ending(core_api.RequestKeyFrame(published.handle))

    def unpublish(self, stream: StreamId) -> None:
        published = self._published.pop(stream, None)
        if published is None:
            return
        for subscription in list(published.subscriptions.values()):
            subscription.owner.unsubscribe(subscription.subscriber)
        del self._session.streams[stream]
        del self._plane.publishers[published.handle]
        self._plane.submit_ending(core_api.Unpublish(published.handle))

    # --- subscribing -----------------------------------------------------------------------

    def subscribe(
        self,
        subscriber: SubscriberId,
        stream: StreamId,
        kinds: frozenset[MediaKind],
        codecs: frozenset[Codec],
    ) -> None:
        published = self._to_follow(subscriber, stream)
        wanted = [
            media
            for media in published.media.values()
            if media.kind in kinds and media.codec.codec in codecs
        ]
        if not wanted:
            raise MediaError("codec_unsupported", "no wanted kind has a codec the client opens")
        slots = self._take_slots(subscriber, stream, wanted)
        if self._downlink is None:
            try:
                self._downlink = PeerTransport(
                    self._plane, self._session.handle, Direction.DOWNLINK, self
                )
            except BaseException:
                self._slots.release(subscriber)
                raise
        self._add_subscription(subscriber, published, slots, ())
        self._offers.want()

    def play(self, subscriber: SubscriberId, stream: StreamId, offer_sdp: str) -> str:
        published = self._to_follow(subscriber, stream)
        if self._downlink is not None:
            raise MediaError("stream_exists", "the client has a downlink already")
        with media_errors():
            plan = plan_playing(
                parse(offer_sdp), published.media.values(), lambda: secrets.randbits(32)
            )
        downlink = PeerTransport(self._plane, self._session.handle, Direction.DOWNLINK, self)
        try:
            downlink.set_remote(plan.remote)
            answer = plan.answer(downlink.local, downlink.next_origin(), stream)
        except BaseException:
            downlink.close()
            raise
        self._downlink = downlink
        self._add_subscription(subscriber, published, (), plan.down_tracks)
        return answer

    def _to_follow(self, subscriber: SubscriberId, stream: StreamId) -> PublishedStream:
        self._check_open()
        published = self._session.streams.get(stream)
        if published is None:
            raise MediaError("stream_unknown", "there is no such stream")
        if subscriber in self._subscriptions:
            raise MediaError("stream_exists", "the subscriber exists already")
        return published

    def _add_subscription(
        self,
        subscriber: SubscriberId,
        published: PublishedStream,
        slots: tuple[tuple[Slot, str], ...],
        down_tracks: tuple[core_api.DownTrackParameters, ...],
    ) -> None:
        handle = SubscriberHandle(self._plane.router.next_handle())
        subscription = Subscription(subscriber, self, published, handle, slots, down_tracks)
        self._subscriptions[subscriber] = subscription
        self._plane.subscribers[handle] = subscription
        published.subscriptions[handle] = subscription

    def _take_slots(
        self, subscriber: SubscriberId, stream: StreamId, wanted: Sequence[NegotiatedMedia]
    ) -> tuple[tuple[Slot, str], ...]:
        with media_errors():
            slots = self._slots.take_all(subscriber, stream, [stream_format(m) for m in wanted])
        return tuple((slot, media.mid) for slot, media in zip(slots, wanted, strict=True))

    def answer_downlink(self, number: int, answer_sdp: str) -> None:
        self._check_open()
        if self._downlink is None or number != self._offers.outstanding:
            raise MediaError("answer_unexpected", "no offer of this number waits for an answer")
        with media_errors():
            answer = self._slots.read_answer(number, answer_sdp)
        if answer.remote is not None:
            # It may raise; nothing has changed until then.
            self._downlink.set_remote(answer.remote)
        self._slots.settle(answer)
        self._offers.answered()
        for subscription in self._subscriptions.values():
            subscription.accept(answer.down_tracks)
        if self._downlink is not None and self._downlink.connected:
            self._start_subscriptions()
        self._offers.offer_what_waits()

    def _start_subscriptions(self) -> None:
        for subscription in self._subscriptions.values():
            if subscription.down_tracks and not subscription.started:
                subscription.started = True
                self._start(subscription)

    def _start(self, subscription: Subscription) -> None:
        if self._downlink is None:
            return
        submit = self._plane.router.submit
        submit(
            core_api.Subscribe(
                self._session.handle,
                subscription.handle,
                subscription.published.handle,
                self._downlink.handle,
                subscription.down_tracks,
            )
        )
        for kind in subscription.held_back:
            submit(core_api.SetDownTrackForwarding(subscription.handle, kind, forwarding=False))
        if subscription.preferred is not None:
            submit(core_api.SetPreferredLayers(subscription.handle, subscription.preferred))
        self._notify(lambda: self.listener.on_subscriber_connected(subscription.subscriber))

    def set_subscriber_forwarding(
        self, subscriber: SubscriberId, kind: MediaKind, forwarding: bool
    ) -> None:
        subscription = self._subscription(subscriber)
        if subscription.started:
            self._plane.router.submit(
                core_api.SetDownTrackForwarding(subscription.handle, kind, forwarding)
            )
        if forwarding:
            subscription.held_back.discard(kind)
        else:
            subscription.held_back.add(kind)

    def set_preferred_layers(self, subscriber: SubscriberId, preferred: PreferredLayers) -> None:
        subscription = self._subscription(subscriber)
        if subscription.started:
            self._plane.router.submit(core_api.SetPreferredLayers(subscription.handle, preferred))
        subscription.preferred = preferred

    def unsubscribe(self, subscriber: SubscriberId) -> None:
        subscription = self._subscriptions.pop(subscriber, None)
        if subscription is None:
            return
        self._end(subscription)
        self._slots.release(subscriber)
        self._offers.want()

    def _end(self, subscription: Subscription) -> None:
        del subscription.published.subscriptions[subscription.handle]
        del self._plane.subscribers[subscription.handle]
        if subscription.started:
            self._plane.submit_ending(core_api.Unsubscribe(subscription.handle))

    def _send_offer(self, number: int) -> None:
        if self._closed or self._downlink is None:
            return
        if self._restart_wanted:
            self._restart_wanted = False
            self._downlink.restart_ice()
        sdp = self._slots.offer(number, self._downlink.local, self._downlink.next_origin())
        tracks = tuple(
            DownlinkTrack(slot.mid, slot.kind, slot.codec.codec, slot.subscriber, slot.stream)
            for slot in self._slots.taken()
            if slot.subscriber is not None and slot.stream is not None
        )
        self.listener.on_downlink_offer(DownlinkOffer(number, sdp, tracks))

    # --- movement --------------------------------------------------------------------------

    def restart_uplink(self, offer_sdp: str) -> str:
        self._check_open()
        uplink = self._uplink
        if uplink is None:
            raise MediaError("transport_closed", "the connection has no uplink")
        with media_errors():
            offer = read_uplink_offer(parse(offer_sdp))
            live = live_media(self._published)
            check_kept(offer, live)
        uplink.restart_ice(offer.remote)
        return self._answer(offer, live, uplink)

    def restart_downlink(self) -> None:
        self._check_open()
        if self._downlink is None:
            raise MediaError("transport_closed", "the connection has no downlink")
        self._restart_wanted = True
        self._offers.want()

    # --- what the transports and the core report --------------------------------------------

    def transport_connected(self, transport: PeerTransport) -> None:
        if transport is self._uplink:
            self._go_live()
        elif transport is self._downlink:
            self._start_subscriptions()

    def _go_live(self) -> None:
        for published in self._published.values():
            if not published.live:
                published.live = True
                self._notify_live(published.stream)

    def _notify_live(self, stream: StreamId) -> None:
        def if_still_published() -> None:
            if stream in self._published:
                self.listener.on_stream_live(stream)

        self._notify(if_still_published)

    def transport_lost(self, transport: PeerTransport) -> None:
        if transport is self._uplink:
            self._uplink = None
            for stream in list(self._published):
                self.unpublish(stream)
        elif transport is self._downlink:
            self._forget_downlink()
        else:
            return
        self._notify(lambda: self.listener.on_transport_lost(transport.direction))

    def _forget_downlink(self) -> None:
        self._downlink = None
        self._offers.forget()
        self._restart_wanted = False
        for subscription in self._subscriptions.values():
            self._end(subscription)
        self._subscriptions.clear()
        self._slots = self._no_slots()

    def report_not_encrypted(self, stream: StreamId, mid: str, packets: int) -> None:
        self._notify(lambda: self.listener.on_not_encrypted(stream, mid, packets))

    def report_speaking(self, stream: StreamId) -> None:
        self._notify(lambda: self.listener.on_active_speaker(stream))

    def report_stream_state(self, subscriber: SubscriberId, state: StreamState) -> None:
        self._notify(lambda: self.listener.on_stream_state(subscriber, state))

    def report_subscribed_layers(self, stream: StreamId, layers: SubscribedLayers) -> None:
        self._notify(lambda: self.listener.on_subscribed_layers(stream, layers))

    def uplink_failed(self) -> None:
        """The core refused what was published: the transport's state is no longer the core's."""
        if self._uplink is not None:
            self._uplink.handle_command_failed()

    # --- life ------------------------------------------------------------------------------

    def close(self) -> None:
        if self._closed:
            return
        for stream in list(self._published):
            self.unpublish(stream)
        downlink = self._downlink
        self._forget_downlink()
        for transport in (self._uplink, downlink):
            if transport is not None:
                transport.close()
        self._uplink = None
        self._closed = True
        self._session.forget_client(self.connection)

    def dump(self) -> ClientDump:
        transports = [t for t in (self._uplink, self._downlink) if t is not None]
        return ClientDump(
            transports=tuple(transport.dump() for transport in transports),
            publishers={name: one.handle for name, one in self._published.items()},
            subscriptions={one.subscriber: one.dump() for one in self._subscriptions.values()},
            downlink_media=len(self._slots),
            offer_outstanding=self._offers.outstanding is not None,
        )

    def _no_slots(self) -> DownlinkSlots:
        limit = self._plane.settings.max_downlink_media
        return DownlinkSlots(limit=limit, new_ssrc=lambda: secrets.randbits(32))

    def _check_open(self) -> None:
        if self._closed:
            raise MediaError("transport_closed", "the connection's media is closed")

    def _own(self, stream: StreamId) -> PublishedStream:
        self._check_open()
        if stream not in self._published:
            raise MediaError("stream_unknown", "the connection publishes no such stream")
        return self._published[stream]

    def _subscription(self, subscriber: SubscriberId) -> Subscription:
        self._check_open()
        if subscriber not in self._subscriptions:
            raise MediaError("stream_unknown", "there is no such subscriber")
        return self._subscriptions[subscriber]

    def _notify(self, call: Callable[[], None]) -> None:
        """Calls the listener later, on the loop: never from within one of its own calls."""

        def unless_closed() -> None:
            if not self._closed:
                call()

        self._plane.scheduler.call_soon(unless_closed)
