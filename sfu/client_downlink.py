"""What one Connection receives: its downlink over the compiled core, and its subscriptions."""

import secrets
from collections.abc import Mapping, Sequence

from sfu import core_api
from sfu.client_records import (
    ClientContext,
    PublishedStream,
    SessionStreams,
    Subscription,
    media_errors,
)
from sfu.core_api import Codec, Direction, MediaKind, PreferredLayers, StreamState
from sfu.downlink_offers import DownlinkOffers
from sfu.ids import StreamId, SubscriberHandle, SubscriberId
from sfu.media_plane import DownlinkOffer, DownlinkTrack, MediaError
from sfu.peer_transport import PeerTransport, PlaneContext
from sfu.rtp_parameters import NegotiatedMedia, stream_format
from sfu.sdp.parse import parse
from sfu.sdp.player import plan_playing
from sfu.sdp.slots import DownlinkSlots, Slot


class ClientDownlink:
    """Owner of everything the Connection receives, of the offers for it, and of the transport
    that carries it."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context
        self._transport: PeerTransport | None = None
        self._subscriptions: dict[SubscriberId, Subscription] = {}
        self._slots = self._no_slots()
        self._offers = DownlinkOffers(context.plane.scheduler, self._send_offer)
        self._restart_wanted = False

    @property
    def _session(self) -> SessionStreams:
        return self._context.session

    @property
    def _plane(self) -> PlaneContext:
        return self._context.plane

    @property
    def transport(self) -> PeerTransport | None:
        return self._transport

    @property
    def subscriptions(self) -> Mapping[SubscriberId, Subscription]:
        return self._subscriptions

    @property
    def media(self) -> int:
        """The number of its m-lines."""
        return len(self._slots)

    @property
    def offer_outstanding(self) -> bool:
        return self._offers.outstanding is not None

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
        if self._transport is None:
            try:
                self._transport = PeerTransport(
                    self._plane, self._session.handle, Direction.DOWNLINK, self
                )
            except BaseException:
                self._slots.release(subscriber)
                raise
        self._add_subscription(subscriber, published, slots, ())
        self._offers.want()

    def play(self, subscriber: SubscriberId, stream: StreamId, offer_sdp: str) -> str:
        published = self._to_follow(subscriber, stream)
        if self._transport is not None:
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
        self._transport = downlink
        self._add_subscription(subscriber, published, (), plan.down_tracks)
        return answer

    def _to_follow(self, subscriber: SubscriberId, stream: StreamId) -> PublishedStream:
        self._context.check_open()
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

    def answer(self, number: int, answer_sdp: str) -> None:
        self._context.check_open()
        if self._transport is None or number != self._offers.outstanding:
            raise MediaError("answer_unexpected", "no offer of this number waits for an answer")
        with media_errors():
            answer = self._slots.read_answer(number, answer_sdp)
        if answer.remote is not None:
            # It may raise; nothing has changed until then.
            self._transport.set_remote(answer.remote)
        self._slots.settle(answer)
        self._offers.answered()
        for subscription in self._subscriptions.values():
            subscription.accept(answer.down_tracks)
        if self._transport is not None and self._transport.connected:
            self._start_subscriptions()
        self._offers.offer_what_waits()

    def _start_subscriptions(self) -> None:
        for subscription in self._subscriptions.values():
            if subscription.down_tracks and not subscription.started:
                subscription.started = True
                self._start(subscription)

    def _start(self, subscription: Subscription) -> None:
        if self._transport is None:
            return
        submit = self._plane.router.submit
        submit(
            core_api.Subscribe(
                self._session.handle,
                subscription.handle,
                self._session.handle_of(subscription.published),
                self._transport.handle,
                subscription.down_tracks,
            )
        )
        for kind in subscription.held_back:
            submit(core_api.SetDownTrackForwarding(subscription.handle, kind, forwarding=False))
        if subscription.preferred is not None:
            submit(core_api.SetPreferredLayers(subscription.handle, subscription.preferred))
        self._context.notify(
            lambda: self._context.listener.on_subscriber_connected(subscription.subscriber)
        )

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
        if self._context.closed or self._transport is None:
            return
        if self._restart_wanted:
            self._restart_wanted = False
            self._transport.restart_ice()
        sdp = self._slots.offer(number, self._transport.local, self._transport.next_origin())
        tracks = tuple(
            DownlinkTrack(slot.mid, slot.kind, slot.codec.codec, slot.subscriber, slot.stream)
            for slot in self._slots.taken()
            if slot.subscriber is not None and slot.stream is not None
        )
        self._context.listener.on_downlink_offer(DownlinkOffer(number, sdp, tracks))

    def restart(self) -> None:
        self._context.check_open()
        if self._transport is None:
            raise MediaError("transport_closed", "the connection has no downlink")
        self._restart_wanted = True
        self._offers.want()

    def _no_slots(self) -> DownlinkSlots:
        limit = self._plane.settings.max_downlink_media
        return DownlinkSlots(limit=limit, new_ssrc=lambda: secrets.randbits(32))

    def _subscription(self, subscriber: SubscriberId) -> Subscription:
        self._context.check_open()
        if subscriber not in self._subscriptions:
            raise MediaError("stream_unknown", "there is no such subscriber")
        return self._subscriptions[subscriber]

    # --- what the transport and the core report ------------------------------------------------

    def transport_connected(self, transport: PeerTransport) -> None:
        if transport is self._transport:
            self._start_subscriptions()

    def transport_lost(self, transport: PeerTransport) -> None:
        if transport is self._transport:
            self._forget()
            self._context.notify_lost(transport)

    def _forget(self) -> None:
        self._transport = None
        self._offers.forget()
        self._restart_wanted = False
        for subscription in self._subscriptions.values():
            self._end(subscription)
        self._subscriptions.clear()
        self._slots = self._no_slots()

    def report_stream_state(self, subscriber: SubscriberId, state: StreamState) -> None:
        self._context.notify(lambda: self._context.listener.on_stream_state(subscriber, state))

    def close(self) -> None:
        transport = self._transport
        self._forget()
        if transport is not None:
            transport.close()
